"""What agents hear when no account is left: they shall wait, not quit."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.empty import PROBING, Unusable, pool_empty
from codemie_core.accounts.verdicts import LIMIT_REASONS, LIMITED, NO_QUOTA, OVERLOAD, REFUSED
from codemie_core.errors import Api, error_body, error_headers

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    "untils, seconds",
    [
        ([NOW + 5], 5),
        ([NOW + 4.01], 5),
        ([NOW + 0.01], 1),
        ([NOW], 1),
        ([NOW - 100], 1),
        ([NOW + 60], 60),
        ([NOW + 3600], 60),
        ([NOW + 3600, NOW + 7, NOW + 90], 7),
        ([None, NOW + 7], 7),
        ([None], 60),
        ([], 60),
        ([math.inf], 60),
        ([math.nan], 60),
        ([-math.inf, NOW + 7], 7),
    ],
)
def test_retry_after_is_the_nearest_reset_in_steps_of_a_minute(untils: list[float | None], seconds: int) -> None:
    unusable = [Unusable(f"a{number}", LIMITED, until) for number, until in enumerate(untils)]
    assert pool_empty(unusable, NOW).retry_after == seconds


def test_waiting_step_by_step_ends_at_the_reset() -> None:
    now, waited = NOW, []
    while now < NOW + 150:
        waited.append(pool_empty([Unusable("main", LIMITED, NOW + 150)], now).retry_after)
        now += waited[-1] or 0
    assert waited == [60, 60, 30]


@pytest.mark.parametrize(
    "reasons, status",
    [
        *(([reason], 429) for reason in LIMIT_REASONS),
        ([LIMITED, f"claude-opus-4-1: {NO_QUOTA}"], 429),
        ([LIMITED, REFUSED], 503),
        ([OVERLOAD], 503),
        ([PROBING], 503),
        (["paused: lunch"], 503),
        (["sign in again"], 503),
        ([], 503),
    ],
)
def test_it_is_a_429_when_limits_are_all_there_is(reasons: list[str], status: int) -> None:
    unusable = [Unusable(f"a{number}", reason, NOW + 30) for number, reason in enumerate(reasons)]
    assert pool_empty(unusable, NOW).status == status


def test_a_client_that_takes_every_429_for_the_end_hears_a_503() -> None:
    assert pool_empty([Unusable("main", LIMITED, NOW + 30)], NOW, quits_on_429=True).status == 503


def test_each_account_says_why_and_when() -> None:
    problem = pool_empty(
        [
            Unusable("main", LIMITED, NOW + 45.2),
            Unusable("second", LIMITED, NOW + 12 * 60 + 1),
            Unusable("third", LIMITED, NOW + 5 * 3600),
            Unusable("fourth", LIMITED, NOW + 6 * 86400),
            Unusable("spare", "paused: lunch"),
            Unusable("new", PROBING, NOW + 1),
            Unusable("past", LIMITED, NOW - 1),
        ],
        NOW,
    )
    assert problem.code == "pool_exhausted"
    assert problem.message == (
        "No account of the pool can serve this now (main: limited (429), free in 46 s; second: limited (429), free in "
        "13 min; third: limited (429), free in 5 h; fourth: limited (429), free in 6 days; spare: paused: lunch; "
        "new: probing; past: limited (429))."
    )


def test_who_could_only_be_helped_by_a_person_is_told_where() -> None:
    message = pool_empty([Unusable("main", "sign in again")], NOW).message
    assert message.endswith("Its operator can see more with: codemie-proxy accounts list")
    assert "accounts list" not in pool_empty([Unusable("main", LIMITED, NOW + 1)], NOW).message
    assert "none serves this model" in pool_empty([], NOW).message


def test_a_thousand_accounts_fit_into_a_message() -> None:
    message = pool_empty([Unusable(f"a{number}", "x" * 1000, NOW + 9) for number in range(1000)], NOW).message
    assert len(message) < 4000
    assert "and 980 more" in message


def test_accounts_that_never_serve_the_model_neither_count_nor_hide_those_that_do() -> None:
    others = [Unusable(f"a{number}", "does not serve opus", serves=False) for number in range(40)]
    problem = pool_empty([*others, Unusable("main", LIMITED, NOW + 30)], NOW)
    assert problem.status == 429
    assert "(main: limited (429), free in 30 s)" in problem.message


def test_a_model_that_no_account_serves_is_refused_at_once() -> None:
    problem = pool_empty([Unusable("main", "does not serve opus", serves=False)], NOW)
    assert (problem.status, problem.code, problem.retry_after) == (400, "model_not_served", None)
    assert "main: does not serve opus" in problem.message


def test_of_many_accounts_those_are_named_that_are_back_soonest() -> None:
    later = [Unusable(f"a{number}", LIMITED, NOW + 900 + number) for number in range(40)]
    message = pool_empty([*later, Unusable("paused", "paused: lunch"), Unusable("main", LIMITED, NOW + 5)], NOW).message
    assert "(main: limited (429), free in 5 s; a0: " in message
    assert "paused" not in message


@pytest.mark.parametrize(
    "api, wait, kind",
    [
        (Api.ANTHROPIC, [], ("error", "type", "rate_limit_error")),
        (Api.OPENAI, [], ("error", "type", "rate_limit_error")),
        (Api.GEMINI, ["error", "details", 1, "retryDelay"], ("error", "status", "RESOURCE_EXHAUSTED")),
        (Api.CODEMIE, [], ("error", "statusCode", 429)),
    ],
)
def test_every_api_can_read_it(api: Api, wait: list[str | int], kind: tuple[str, str, object]) -> None:
    problem = pool_empty([Unusable("main", LIMITED, NOW + 3600)], NOW)
    body = json.loads(error_body(api, problem, "req-1"))
    assert body[kind[0]][kind[1]] == kind[2]
    assert "main: limited (429), free in 60 min" in body["error"]["message"]
    assert ("retry-after", "60") in error_headers(problem, "req-1")
    if wait:  # Gemini CLI reads nothing else.
        for step in wait:
            body = body[step]
        assert body == "60s"


@given(
    st.lists(
        st.builds(
            Unusable,
            st.text(max_size=8),
            st.sampled_from([LIMITED, REFUSED, PROBING, ""]),
            st.none() | st.floats() | st.floats(NOW - 10, NOW + 1e6),
        ),
        max_size=5,
    )
)
def test_retry_after_is_always_between_a_second_and_a_minute(unusable: list[Unusable]) -> None:
    problem = pool_empty(unusable, NOW)
    assert problem.retry_after is not None
    assert 1 <= problem.retry_after <= 60
    assert problem.status in (429, 503)
    honest = [one.until for one in unusable if one.until is not None and math.isfinite(one.until)]
    if honest and NOW < min(honest) < NOW + 59:
        assert 0 <= NOW + problem.retry_after - min(honest) <= 1
