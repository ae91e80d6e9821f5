"""Every header family of rate limits, as providers send them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.limits import SILENT, Limits, Window, _meaning, read_limits
from codemie_core.accounts.moments import LONGEST

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
SOON = "1790003600"
WEEK = "1790500000"
U = "anthropic-ratelimit-unified-"


def limits(**headers: str) -> Limits:
    """Read from these headers; an underscore stands for a dash, two for an underscore."""
    named = {name.replace("__", "\0").replace("_", "-").replace("\0", "_"): value for name, value in headers.items()}
    return read({**named})


def read(headers: dict[str, str]) -> Limits:
    return read_limits([(name.encode(), value.encode("latin-1")) for name, value in headers.items()], NOW)


SUBSCRIPTION = {
    "content-type": "text/event-stream; charset=utf-8",
    f"{U}status": "allowed_warning",
    f"{U}reset": SOON,
    f"{U}5h-status": "allowed_warning",
    f"{U}5h-reset": SOON,
    f"{U}5h-utilization": "0.91",
    f"{U}5h-surpassed-threshold": "0.9",
    f"{U}7d-status": "allowed",
    f"{U}7d-reset": WEEK,
    f"{U}7d-utilization": "0.25",
    f"{U}representative-claim": "five_hour",
    f"{U}fallback-percentage": "0.5",
    f"{U}overage-status": "rejected",
    f"{U}overage-disabled-reason": "org_level_disabled",
    f"{U}upgrade-paths": "upgrade_plan",
}
REJECTED = SUBSCRIPTION | {f"{U}status": "rejected", f"{U}5h-status": "rejected", f"{U}5h-utilization": "1.01"}


def test_a_subscription_tells_its_windows() -> None:
    said = read(SUBSCRIPTION)
    assert said.windows == (
        Window("5h", 0.91, resets_at=NOW + 3600, status="allowed_warning"),
        Window("7d", 0.25, resets_at=NOW + 500_000, status="allowed"),
    )
    assert (said.status, said.claim, said.overage, said.out_of_credits) == (
        "allowed_warning",
        "five_hour",
        "rejected",
        False,
    )


def test_allowed_warning_is_no_limit() -> None:
    said = read(SUBSCRIPTION)
    assert not said.account_spent
    assert not any(window.spent for window in said.windows)
    assert said.reset(NOW) is None


def test_a_rejected_window_resets_when_it_says() -> None:
    said = read(REJECTED)
    assert said.account_spent
    assert said.windows[0].utilization == 1.01
    assert said.reset(NOW) == NOW + 3600


def test_of_two_rejected_windows_the_later_one_counts() -> None:
    assert read(REJECTED | {f"{U}7d-status": "rejected"}).reset(NOW) == NOW + 500_000


def test_a_rejection_without_windows_has_the_reset_of_all() -> None:
    assert limits(**{f"{U}status": "rejected", f"{U}reset": SOON}).reset(NOW) == NOW + 3600


def test_the_older_form_has_a_reset_and_no_status() -> None:
    assert limits(**{f"{U}reset": SOON, f"{U}remaining": "0"}).reset(NOW) == NOW + 3600


def test_the_reset_of_a_window_that_is_not_spent_says_nothing_about_a_429() -> None:
    # A short burst is refused with the windows' own resets beside it, hours ahead.
    assert read(SUBSCRIPTION | {"x-should-retry": "true"}).reset(NOW) is None
    assert read(SUBSCRIPTION | {"retry-after": "7"}).reset(NOW) == NOW + 7


def test_more_than_all_used_is_spent_unless_its_status_allows_it() -> None:
    assert Window("5h", 1.01).spent
    assert not Window("5h", 1.01, status="allowed").spent
    assert Window("5h", 0.2, status="rejected").spent
    assert not Window("5h", 0.99).spent


@pytest.mark.parametrize(
    "headers, of_models, reset",
    [
        # The week of one model: 5h and 7d still allow all others.
        ({"7d_oi-status": "rejected", "7d_oi-reset": WEEK, "5h-status": "allowed"}, True, NOW + 500_000),
        ({"7d_opus-status": "rejected", "7d_opus-reset": WEEK}, True, NOW + 500_000),
        ({"representative-claim": "seven_day_opus", "reset": WEEK}, True, NOW + 500_000),
        ({"representative-claim": "seven_day_overage_included", "reset": WEEK}, True, NOW + 500_000),
        # Both: the account's own window counts, and only until that resets.
        (
            {"7d_oi-status": "rejected", "7d_oi-reset": WEEK, "5h-status": "rejected", "5h-reset": SOON},
            False,
            NOW + 3600,
        ),
        ({"representative-claim": "seven_day", "reset": WEEK}, False, NOW + 500_000),
        ({"representative-claim": "five_hour", "reset": WEEK}, False, NOW + 500_000),
    ],
)
def test_a_models_own_window_is_told_from_the_accounts(headers: dict[str, str], of_models: bool, reset: float) -> None:
    said = read({f"{U}status": "rejected"} | {U + name: value for name, value in headers.items()})
    assert (said.of_models, said.account_spent, said.reset(NOW)) == (
        of_models,
        "5h-status" in headers and not of_models,
        reset,
    )


def test_an_api_key_tells_counts_and_rfc_3339() -> None:
    said = read(
        {
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:21Z",
            "anthropic-ratelimit-input-tokens-limit": "400000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:14:20Z",
        }
    )
    assert said.windows == (
        Window("requests", remaining=3999, limit=4000, resets_at=NOW + 1),
        Window("input-tokens", remaining=0, limit=400_000, resets_at=NOW + 60),
    )
    assert said.reset(NOW) == NOW + 60


def test_counters_refill_before_they_reset() -> None:
    said = limits(
        anthropic_ratelimit_input_tokens_remaining="0",
        anthropic_ratelimit_input_tokens_reset="2026-09-21T14:23:20Z",
        retry_after="12",
    )
    assert said.reset(NOW) == NOW + 12


@pytest.mark.parametrize("text, seconds", [("1m30s", 90), ("6s", 6), ("12ms", 0.012), ("1h2m3.5s", 3723.5)])
def test_openai_tells_spans(text: str, seconds: float) -> None:
    said = limits(x_ratelimit_remaining_tokens="0", x_ratelimit_limit_tokens="30000", x_ratelimit_reset_tokens=text)
    assert said.windows == (Window("tokens", remaining=0, limit=30_000, resets_at=NOW + seconds),)
    assert said.reset(NOW) == NOW + seconds


CODEX = {
    "x-codex-active-limit": "premium",
    "x-codex-plan-type": "plus",
    "x-codex-primary-used-percent": "100",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-after-seconds": "3601",
    "x-codex-primary-reset-at": SOON,
    "x-codex-primary-over-secondary-limit-percent": "0",
    "x-codex-secondary-used-percent": "80",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": WEEK,
    "x-codex-credits-has-credits": "False",
    "x-codex-bengalfox-primary-used-percent": "100",
    "x-codex-bengalfox-primary-window-minutes": "300",
}


def test_codex_tells_percent_and_minutes() -> None:
    said = read(CODEX)
    assert said.windows == (
        Window("five_hour", 1.0, resets_at=NOW + 3600),
        Window("seven_day", 0.8, resets_at=NOW + 500_000),
    )
    assert said.reset(NOW) == NOW + 3600


def test_codex_of_a_plan_with_one_window_sends_zeros_for_the_other() -> None:
    said = read(
        {
            "x-codex-primary-used-percent": "100",
            "x-codex-primary-window-minutes": "10080",
            "x-codex-primary-reset-after-seconds": "471285",
            "x-codex-secondary-used-percent": "0",
            "x-codex-secondary-window-minutes": "0",
            "x-codex-secondary-reset-after-seconds": "0",
            "x-codex-secondary-reset-at": "",
        }
    )
    assert said.windows == (Window("seven_day", 1.0, resets_at=NOW + 471_285),)


def test_codex_in_its_older_form() -> None:
    said = limits(x_codex_5h_reset_at=SOON, x_codex_7d_reset_at=WEEK, x_codex_5h_used_percent="42.5")
    assert said.windows == (
        Window("five_hour", 0.425, resets_at=NOW + 3600),
        Window("seven_day", resets_at=NOW + 500_000),
    )


def test_codex_between_five_hours_and_a_week_keeps_its_name() -> None:
    said = limits(x_codex_primary_used_percent="1", x_codex_primary_window_minutes="1440")
    assert said.windows == (Window("primary", 0.01),)


def test_a_plain_reset_in_milliseconds() -> None:
    assert limits(x_ratelimit_reset="1790003600000", x_ratelimit_remaining="0").reset(NOW) == NOW + 3600


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 30 "}, 30.0),
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": "30", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "30", "retry-after-ms": "soon"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Wed, 23 Sep 2026 14:13:20 GMT"}, 2 * 86400.0),
        ({"retry-after": "999999999999"}, LONGEST),
        ({"retry-after": "Mon, 21 Sep 2099 14:14:20 GMT"}, LONGEST),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:19 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "\uff11\uff12"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "1" * 1_000_000}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    said = read_limits(raw, NOW)
    assert said.retry_after == seconds
    assert said.reset(NOW) == (NOW + seconds if seconds else None)


def test_a_retry_after_of_nothing_is_no_reset() -> None:
    assert limits(retry_after="0").reset(NOW) is None


def test_a_reset_that_passes_meanwhile_is_none() -> None:
    said = read(REJECTED)
    assert said.reset(NOW + 3600) is None


def test_should_retry_and_credits() -> None:
    said = read({"x-should-retry": "true", f"{U}overage-disabled-reason": "out_of_credits"})
    assert (said.should_retry, said.out_of_credits, said.silent) == (True, True, True)
    assert limits(x_should_retry="false").should_retry is False
    assert limits(x_should_retry="maybe").should_retry is None


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "1"},
        {"retry-after": "0"},
        {f"{U}status": "allowed"},
        {f"{U}reset": SOON},
        {"x-ratelimit-remaining-requests": "5"},
        {"x-codex-primary-used-percent": "5"},
    ],
)
def test_any_word_of_a_limit_breaks_the_silence(headers: dict[str, str]) -> None:
    assert not read(headers).silent


def test_a_head_without_limits_is_silent() -> None:
    said = read({"content-type": "application/json", "date": "Mon, 21 Sep 2026 14:13:20 GMT", "server": "cloudflare"})
    assert said is SILENT
    assert said.silent


def test_names_are_read_whatever_their_case() -> None:
    assert read({"X-RateLimit-Remaining-Tokens": "0"}).windows == (Window("tokens", remaining=0),)


@pytest.mark.parametrize("value", ["nan", "-1", "inf", "1e9", "²", "9" * 400, "\0", "ä" * 50, "x" * 1_000_000])
def test_nonsense_is_as_good_as_absent(value: str) -> None:
    said = read(
        {
            f"{U}5h-utilization": value,
            f"{U}5h-reset": value,
            f"{U}reset": value,
            "x-ratelimit-remaining-tokens": value,
            "x-codex-primary-used-percent": value,
            "retry-after": value,
            "retry-after-ms": value,
        }
    )
    assert said.reset(NOW) is None
    assert [(w.utilization, w.remaining, w.resets_at) for w in said.windows] in (
        [(None, None, None)] * 2,
        [],
    )


def test_a_word_of_a_megabyte_is_not_kept() -> None:
    assert read({f"{U}status": "x" * 1_000_000, f"{U}representative-claim": "x" * 1_000_000}) is SILENT


def test_no_upstream_makes_more_windows_than_any_real_one_has() -> None:
    said = read({f"x-ratelimit-remaining-w{number}": "1" for number in range(500)})
    assert len(said.windows) == 16
    assert read({f"x-ratelimit-remaining-{'w' * 100}": "1"}) is SILENT


NAMES = st.sampled_from(
    [
        *SUBSCRIPTION,
        *CODEX,
        *("retry-after", "retry-after-ms", "x-should-retry", "x-ratelimit-reset", "x-ratelimit-reset-tokens"),
        *("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining", f"{U}7d_oi-reset"),
    ]
)
VALUES = (
    st.binary(max_size=120)
    | st.sampled_from([b"rejected", b"allowed", b"0", b"1", b"1m30s", b"true", b"1790000001", b"2027-09-22T00:00:00Z"])
    | st.integers().map(lambda value: str(value).encode())
    | st.floats().map(lambda value: str(value).encode())
)


@given(st.lists(st.tuples(NAMES.map(str.encode) | st.binary(max_size=80), VALUES), max_size=30))
def test_no_head_raises_or_names_a_reset_that_is_past_or_beyond_a_year(head: list[tuple[bytes, bytes]]) -> None:
    said = read_limits(head, NOW)
    times = [said.reset(NOW), said.resets_at, *(window.resets_at for window in said.windows)]
    assert all(at is None or NOW < at <= NOW + LONGEST for at in times)
    assert said.retry_after is None or 0 <= said.retry_after <= LONGEST
    assert all(w.utilization is None or (math.isfinite(w.utilization) and w.utilization >= 0) for w in said.windows)


def test_a_head_without_limits_costs_no_more_than_a_look_at_each_name() -> None:
    head = [(f"x-header-{number}".encode(), b"some value") for number in range(20)]
    assert read_limits(head, NOW) is SILENT
    before = _meaning.cache_info()
    for _ in range(100):
        assert read_limits(head, NOW) is SILENT
    after = _meaning.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (2_000, 0)
