"""After a failed attempt: what the pool learns, and how it goes on."""

from collections.abc import Mapping

import pytest
from mitmproxy import http
from mitmproxy.test import tutils

from codemie_core.accounts.account import Account
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.turn import AGAIN, Left
from codemie_core.accounts.verdicts import LIMITED, OVERLOAD, REFUSED
from codemie_core.accounts.words import NO_SECRET
from codemie_core.errors import Problem
from codemie_core.exchange import Attempt
from codemie_core.policy import Answer, AttemptPlan, Decision, Failure, Reason, Release, Retry, decide
from support.pools import GUESS, Clock
from support.rotating import REJECTED, THINKING, Rotating, Run, account, attempt_of

MAIN, SPARE, LAST = account("main"), account("spare", priority=1), account("last", priority=2)
ELSEWHERE = account("elsewhere", "https://other.test", priority=1)
LIMIT = {"retry-after": "120"}
NOTHING: Mapping[str, str] = {}
MOST = 5


async def fail(
    pool: Rotating,
    run: Run,
    failure: Failure,
    headers: Mapping[str, str] = NOTHING,
    most: int = MOST,
    body: bytes | None = None,
) -> tuple[Attempt, Left | None]:
    """The running attempt fails like this, and policy has had its word."""
    attempt = attempt_of(run, failure=failure, body=body, status=failure.status)
    attempt.decision = decide(run.turn.plan, failure, attempt.number, 0.0, lambda: 0.5)
    if failure.status is not None:
        fields = http.Headers([(name.encode(), value.encode()) for name, value in headers.items()])
        run.flow.response = tutils.tresp(status_code=failure.status, headers=fields)
    left = await pool.failover.after(run.flow, run.exchange, run.turn, attempt, most)
    run.flow.response = None
    return attempt, left


def status(code: int) -> Failure:
    return Failure(Reason.STATUS, status=code)


@pytest.mark.parametrize(
    "failure, headers, reason",
    [
        (status(429), LIMIT, LIMITED),
        (status(529), {}, OVERLOAD),
        (status(401), {}, REFUSED),
        (Failure(Reason.ERROR_EVENT, "rate_limit_error"), {}, LIMITED),
        (Failure(Reason.ERROR_EVENT, "overloaded_error"), {}, OVERLOAD),
        (Failure(Reason.FIRST_BYTE_TIMEOUT), {}, ""),
        (status(429), {"x-should-retry": "true"}, ""),
    ],
)
async def test_the_next_account_is_asked_at_once(failure: Failure, headers: dict[str, str], reason: str) -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped()
    attempt, left = await fail(pool, run, failure, headers)
    assert (attempt.decision, left) == (Retry(0.0), None)
    assert (run.exchange.account, run.sent) == ("spare", {"x-api-key": "key-of-spare"})
    assert pool.pool.status("main").reason == reason
    assert not run.turn.settled


@pytest.mark.parametrize("code", [400, 403, 404, 413, 422, 500])
async def test_an_error_of_the_request_itself_is_the_clients(code: int) -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped()
    attempt, left = await fail(pool, run, status(code), body=b"{}")
    assert (attempt.decision, left) == (Release(), None)
    assert (run.exchange.account, pool.pool.status("main").reason) == ("main", "")
    assert run.turn.settled


@pytest.mark.parametrize("code, served_by", [(403, "main"), (404, "main"), (500, "spare")])
async def test_where_policy_asks_again_a_refusal_still_never_moves(code: int, served_by: str) -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped(plan=AttemptPlan(retry_statuses=frozenset({code})))
    attempt, left = await fail(pool, run, status(code))
    assert (isinstance(attempt.decision, Retry), left, run.exchange.account) == (True, None, served_by)
    assert not run.turn.settled


@pytest.mark.parametrize("failure", [status(503), status(502), Failure(Reason.RESET), Failure(Reason.CONNECT_FAILED)])
async def test_a_place_that_is_down_is_asked_as_often_as_policy_says(failure: Failure) -> None:
    pool = Rotating((MAIN, SPARE, LAST))
    run = await pool.equipped()
    decisions = [(await fail(pool, run, failure))[0].decision for _ in range(3)]
    assert [isinstance(one, Retry) and one.after > 0 for one in decisions] == [True, True, False]
    assert run.exchange.account == "last"
    assert {pool.pool.status(one.id).reason for one in pool.accounts} == {""}


async def test_an_account_elsewhere_need_not_wait_for_a_place_that_is_down() -> None:
    pool = Rotating((MAIN, ELSEWHERE))
    run = await pool.equipped()
    attempt, _ = await fail(pool, run, Failure(Reason.CONNECT_FAILED))
    assert (attempt.decision, run.exchange.account) == (Retry(0.0), "elsewhere")


async def test_an_account_whose_address_is_the_proxys_own_is_named_unless_another_one_serves() -> None:
    pool = Rotating((MAIN, ELSEWHERE))
    run = await pool.equipped()
    failure = Failure(Reason.LEADS_BACK, "api.test:443")
    attempt, left = await fail(pool, run, failure)
    assert (attempt.decision, left, run.exchange.account) == (Retry(0.0), None, "elsewhere")
    attempt, left = await fail(pool, run, failure)
    assert not isinstance(attempt.decision, Retry)
    assert isinstance(left, Problem)
    assert (left.status, "the account elsewhere, https://other.test:443, leads back" in left.message) == (400, True)
    assert {pool.pool.status(one.id).reason for one in pool.accounts} == {""}


async def test_accounts_at_one_place_that_leads_back_are_not_asked_one_by_one() -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped()
    attempt, left = await fail(pool, run, Failure(Reason.LEADS_BACK))
    assert isinstance(attempt.decision, Answer)
    assert isinstance(left, Problem)
    assert "the account main" in left.message


async def test_a_stale_connection_moves_nobody() -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped(conversation="one")
    attempt, left = await fail(pool, run, Failure(Reason.RESET, reused_connection=True))
    assert (attempt.decision, left, run.exchange.account) == (Retry(0.0), None, "main")
    assert not run.turn.settled


@pytest.mark.parametrize("accounts, reason", [((MAIN,), LIMITED), ((MAIN, account("spare", deny=("opus",))), LIMITED)])
async def test_when_none_is_left_the_pool_says_why(accounts: tuple[Account, ...], reason: str) -> None:
    pool = Rotating(accounts)
    run = await pool.equipped()
    attempt, left = await fail(pool, run, status(429), LIMIT)
    assert isinstance(left, tuple)
    assert left[0].reason == reason
    assert attempt.decision == Release()
    assert run.turn.settled


async def test_an_account_alone_is_asked_again_where_policy_would() -> None:
    pool = Rotating((MAIN,))
    run = await pool.equipped()
    for _ in range(2):
        attempt, left = await fail(pool, run, status(529))
        assert (isinstance(attempt.decision, Retry), left, run.turn.settled) == (True, None, False)
    attempt, left = await fail(pool, run, status(529))
    assert (attempt.decision, run.turn.settled) == (Release(), True)
    assert isinstance(left, tuple)
    assert left[0].reason == OVERLOAD


@pytest.mark.parametrize("failure", [Failure(Reason.CONNECT_FAILED), Failure(Reason.FIRST_BYTE_TIMEOUT), status(503)])
async def test_what_is_no_fault_of_an_account_stays_what_it_is(failure: Failure) -> None:
    pool = Rotating((MAIN,))
    run = await pool.equipped(plan=AttemptPlan(max_attempts=1))
    attempt, left = await fail(pool, run, failure)
    assert left is None
    assert attempt.decision == decide(run.turn.plan, failure, 1, 0.0)


async def test_so_many_accounts_are_tried_and_then_the_client_may_come_again() -> None:
    pool = Rotating((MAIN, SPARE, LAST))
    run = await pool.equipped()
    attempt, left = await fail(pool, run, status(429), LIMIT, most=2)
    assert (attempt.decision, left) == (Retry(0.0), None)
    attempt, left = await fail(pool, run, status(429), LIMIT, most=2)
    assert left is AGAIN
    assert pool.pool.status("last").reason == ""


async def test_no_account_is_asked_when_the_time_is_over() -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped()
    attempt_of(run).began -= 61
    pool.environ["main"] = "a-new-key"
    _, left = await fail(pool, run, status(401))
    assert left is AGAIN
    assert (run.exchange.account, run.sent) == ("main", {"x-api-key": "key-of-main"})
    refused = await pool.equipped(body=THINKING)
    attempt_of(refused).began -= 61
    attempt, left = await fail(pool, refused, status(400), body=REJECTED)
    assert (attempt.decision, left, refused.flow.request.raw_content) == (Release(), None, THINKING)


@pytest.mark.parametrize(
    "failure, most",
    [(Failure(Reason.CONNECT_FAILED), MOST), (Failure(Reason.FIRST_BYTE_TIMEOUT), 1)],
    ids=["no better there", "enough were tried"],
)
async def test_an_account_that_is_not_asked_after_all_is_left_as_it_was(failure: Failure, most: int) -> None:
    clock = Clock()
    pool = Rotating((MAIN, SPARE), pool=Pool(clock))
    pool.pool.failed("spare", "opus", GUESS)
    clock.now += 61
    run = await pool.equipped(plan=AttemptPlan(max_attempts=1))
    attempt, left = await fail(pool, run, failure, most=most)
    assert not isinstance(attempt.decision, Retry)
    assert left is None
    assert pool.pool.status("spare").state == "recovering", "another request may try it"


@pytest.mark.parametrize("code, decision", [(429, Release()), (401, Release()), (503, Retry(0.1875))])
async def test_a_call_about_stored_things_never_moves(code: int, decision: Decision) -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped(moves=False)
    attempt, left = await fail(pool, run, status(code))
    assert (attempt.decision, left, run.exchange.account) == (decision, None, "main")


async def test_a_new_secret_is_tried_before_the_next_account() -> None:
    pool = Rotating((MAIN, SPARE))
    run = await pool.equipped()
    pool.environ["main"] = "a-new-key"
    attempt, _ = await fail(pool, run, status(401))
    assert (attempt.decision, run.sent) == (Retry(0.0), {"x-api-key": "a-new-key"})
    assert pool.pool.status("main").reason == ""
    attempt, _ = await fail(pool, run, status(401))
    assert (attempt.decision, run.exchange.account) == (Retry(0.0), "spare")
    assert pool.pool.status("main").reason == REFUSED


async def test_an_account_whose_secret_is_missing_is_no_way_on() -> None:
    pool = Rotating((MAIN, SPARE))
    del pool.environ["spare"]
    run = await pool.equipped()
    _, left = await fail(pool, run, status(429), LIMIT)
    assert isinstance(left, tuple)
    assert [one.reason for one in left] == [LIMITED, NO_SECRET]
    again = Rotating((MAIN, ELSEWHERE))
    del again.environ["elsewhere"]
    run = await again.equipped()
    attempt, left = await fail(again, run, Failure(Reason.CONNECT_FAILED))
    assert left is None
    assert isinstance(attempt.decision, Retry), "policy would ask the first one again"
    assert (run.exchange.account, run.turn.choice.account.name, run.sent) == (
        "main",
        "main",
        {"x-api-key": "key-of-main"},
    )


async def test_a_fallback_model_of_the_same_account_is_another_way_on() -> None:
    pool = Rotating((account("main", fallback_model="haiku"),))
    run = await pool.equipped()
    body = b'{"error": {"type": "rate_limit_error", "code": "insufficient_quota"}}'
    attempt, _ = await fail(pool, run, status(429), body=body)
    assert (attempt.decision, run.turn.model, run.turn.tried) == (Retry(0.0), "haiku", 2)
    assert b'"haiku"' in (run.flow.request.raw_content or b"")


async def test_the_probe_of_an_account_ends_with_any_word_of_it() -> None:
    clock = Clock()
    pool = Rotating((MAIN,), pool=Pool(clock))
    pool.pool.failed("main", "opus", GUESS)
    clock.now += 61
    for failure in status(404), status(500), Failure(Reason.RESET):
        run = await pool.equipped()
        assert run.turn.choice.probe
        assert pool.pool.status("main").state == "probing"
        await fail(pool, run, failure)
        assert pool.pool.status("main").state == "recovering"
