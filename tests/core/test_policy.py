import json
import math

import pytest

from codemie_core.access.own_address import LOOP
from codemie_core.errors import Api, Problem, error_body, error_headers
from codemie_core.policy import (
    HARD_ATTEMPT_LIMIT,
    LASTING_ERRORS,
    Answer,
    AttemptPlan,
    Decision,
    Failure,
    ReadyResponse,
    Reason,
    Release,
    Retry,
    backoff,
    bounded,
    connect_failure,
    decide,
    has_response,
    on_connection,
    problem_of,
    retried_by_default,
    waiting,
)

PLAN = AttemptPlan()
RETRIED = {
    Reason.CONNECT_FAILED,
    Reason.DNS_FAILED,
    Reason.TLS_FAILED,
    Reason.CONNECT_TIMEOUT,
    Reason.RESET,
}
RELEASED = {Reason.STATUS, Reason.ERROR_EVENT}


def failure_of(reason: Reason) -> Failure:
    """One that the default plan tries again, where the reason alone does not say."""
    return Failure(
        reason, "overloaded_error" if reason is Reason.ERROR_EVENT else "", 503 if reason in RELEASED else None
    )


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_decision_for_every_reason_and_attempt(reason: Reason, number: int) -> None:
    failure = failure_of(reason)
    decision = decide(PLAN, failure, number, elapsed=0.0, rng=lambda: 1.0)
    if (reason in RETRIED or reason in RELEASED) and number < PLAN.max_attempts:
        assert decision == Retry(0.25 * 2 ** (number - 1))
    elif reason in RELEASED:
        assert decision == Release()
    else:
        assert decision == Answer(problem_of(failure))


@pytest.mark.parametrize(
    "status, retried", [(502, True), (503, True), (504, True), (529, True), (500, False), (429, False)]
)
def test_a_status_is_tried_again_when_the_plan_lists_it(status: int, retried: bool) -> None:
    failure = Failure(Reason.STATUS, status=status)
    assert retried_by_default(PLAN, failure) is retried
    assert retried_by_default(AttemptPlan(retry_statuses=frozenset({status})), failure)
    assert not retried_by_default(AttemptPlan(retry_statuses=frozenset()), failure)


@pytest.mark.parametrize("kind", sorted(LASTING_ERRORS))
def test_an_error_that_another_try_cannot_change_is_released_at_once(kind: str) -> None:
    failure = Failure(Reason.ERROR_EVENT, kind)
    assert not retried_by_default(PLAN, failure)
    assert decide(PLAN, failure, 1, 0.0) == Release()


@pytest.mark.parametrize("kind", ["", "overloaded_error", "api_error", "server_error", "UNAVAILABLE", "INTERNAL"])
def test_an_error_event_that_may_pass_is_tried_again(kind: str) -> None:
    assert isinstance(decide(PLAN, Failure(Reason.ERROR_EVENT, kind), 1, 0.0), Retry)


@pytest.mark.parametrize(
    "elapsed, jitter, retried",
    [(59.75, 1.0, True), (59.76, 1.0, False), (59.76, 0.0, True), (60.0, 0.0, False), (61.0, 0.0, False)],
)
def test_no_attempt_begins_after_the_budget(elapsed: float, jitter: float, retried: bool) -> None:
    decision = decide(PLAN, Failure(Reason.RESET), 1, elapsed, lambda: jitter)
    assert isinstance(decision, Retry) is retried


@pytest.mark.parametrize(
    "retry_after, decision",
    [
        (None, Retry(0.25)),
        (0.0, Retry(0.25)),
        (0.1, Retry(0.25)),
        (3.0, Retry(3.0)),
        (5.0, Retry(5.0)),
        (5.1, Release()),
        (math.inf, Release()),
    ],
)
def test_a_short_retry_after_is_obeyed_and_a_long_one_is_for_the_agent(
    retry_after: float | None, decision: Decision
) -> None:
    failure = Failure(Reason.STATUS, status=503, retry_after=retry_after)
    assert decide(PLAN, failure, 1, 0.0, lambda: 1.0) == decision


def test_a_retry_after_beyond_the_budget_ends_it() -> None:
    failure = Failure(Reason.STATUS, status=503, retry_after=4.0)
    assert decide(PLAN, failure, 1, 57.0) == Release()


def test_a_kept_alive_connection_that_was_closed_is_replaced_without_a_wait() -> None:
    assert decide(PLAN, Failure(Reason.RESET, reused_connection=True), 1, 0.0) == Retry(0.0)


@pytest.mark.parametrize("reason", Reason)
def test_only_a_reset_is_told_that_its_connection_was_reused(reason: Reason) -> None:
    assert on_connection(Failure(reason), reused=True).reused_connection is (reason is Reason.RESET)
    assert not on_connection(Failure(reason), reused=False).reused_connection


@pytest.mark.parametrize("number, ceiling", [(1, 0.25), (2, 0.5), (3, 1.0), (5, 4.0), (6, 5.0), (9, 5.0), (1000, 5.0)])
def test_the_back_off_doubles_up_to_its_ceiling_with_jitter_in_the_upper_half(number: int, ceiling: float) -> None:
    assert backoff(PLAN, number, lambda: 0.0) == ceiling / 2
    assert backoff(PLAN, number, lambda: 1.0) == ceiling
    assert all(ceiling / 2 <= backoff(PLAN, number) <= ceiling for _ in range(50))


TEAPOT = Answer(ReadyResponse(418, (), b""))


@pytest.mark.parametrize(
    "decision, reason, number, elapsed, kept",
    [
        (Retry(), Reason.REJECTED, 1, 0.0, True),
        (Retry(), Reason.REJECTED, HARD_ATTEMPT_LIMIT - 1, 0.0, True),
        (Retry(), Reason.REJECTED, HARD_ATTEMPT_LIMIT, 0.0, False),
        (Retry(), Reason.REJECTED, 1, 60.0, True),
        (Retry(), Reason.REJECTED, 1, 60.1, False),
        (Retry(30.0), Reason.REJECTED, 1, 30.0, True),
        (Retry(30.1), Reason.REJECTED, 1, 30.0, False),
        (Retry(math.inf), Reason.REJECTED, 1, 0.0, False),
        (TEAPOT, Reason.RESET, HARD_ATTEMPT_LIMIT, 99.0, True),
        *[
            (Release(), reason, 1, 0.0, reason in (Reason.STATUS, Reason.ERROR_EVENT, Reason.REJECTED))
            for reason in Reason
        ],
    ],
)
def test_an_addon_decides_within_limits(
    decision: Decision, reason: Reason, number: int, elapsed: float, kept: bool
) -> None:
    failure = Failure(reason)
    held = bounded(PLAN, decision, failure, number, elapsed)
    assert held == (decision if kept else decide(AttemptPlan(max_attempts=1), failure, 1, 0.0))


def test_a_rejected_response_is_answered_for_unless_an_addon_releases_it() -> None:
    failure = Failure(Reason.REJECTED, "account is spent")
    assert has_response(failure)
    assert decide(PLAN, failure, 1, 0.0) == Answer(problem_of(failure))


PROBLEMS = {
    Reason.CONNECT_FAILED: (502, "upstream_unreachable"),
    Reason.DNS_FAILED: (502, "upstream_unknown_host"),
    Reason.TLS_FAILED: (502, "upstream_tls_failed"),
    Reason.CERTIFICATE_REFUSED: (502, "upstream_certificate_refused"),
    Reason.CONNECT_TIMEOUT: (504, "upstream_connect_timeout"),
    Reason.FIRST_BYTE_TIMEOUT: (504, "upstream_timeout"),
    Reason.IDLE_TIMEOUT: (504, "upstream_stalled"),
    Reason.RESET: (502, "upstream_reset"),
    Reason.BAD_HEAD: (502, "upstream_invalid_response"),
    Reason.STATUS: (502, "upstream_error"),
    Reason.ERROR_EVENT: (502, "upstream_error"),
    Reason.REJECTED: (502, "upstream_rejected"),
    Reason.LEADS_BACK: (400, "upstream_is_this_proxy"),
    Reason.PROXY_REFUSED: (400, "outbound_proxy_refused"),
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_but_what_only_a_setting_changes_is_a_problem_that_no_agent_takes_for_final(
    reason: Reason,
) -> None:
    problem = problem_of(Failure(reason, "some words"))
    assert (problem.status, problem.code) == PROBLEMS[reason]
    assert "(some words)." in problem.message
    hint = problem.message.endswith("Trying again may help.")
    assert hint is (reason in RETRIED or reason is Reason.ERROR_EVENT or problem.status == 504)
    assert "()" not in problem_of(Failure(reason)).message


def test_what_leads_back_here_is_told_at_once_with_what_helps() -> None:
    failure = Failure(Reason.LEADS_BACK, "localhost:8080")
    told = decide(PLAN, failure, 1, 0.0)
    assert isinstance(told, Answer)
    assert isinstance(told.response, Problem)
    assert told.response.message.startswith(
        "The address of the model API leads back to this very proxy (localhost:8080)."
    )
    assert "codemie-proxy start" in told.response.message
    assert dict(error_headers(told.response, "id"))["x-should-retry"] == "false"


def test_a_problem_keeps_the_status_of_the_upstream() -> None:
    assert problem_of(Failure(Reason.STATUS, status=529)).status == 529


@pytest.mark.parametrize("seconds, shown", [(None, None), (0.0, 0), (0.2, 1), (30.0, 30)])
def test_the_wait_the_upstream_asked_for_is_passed_on_in_whole_seconds(
    seconds: float | None, shown: int | None
) -> None:
    assert waiting(problem_of(Failure(Reason.STATUS)), seconds).retry_after == shown


def test_an_absurd_wait_does_no_harm() -> None:
    problem = waiting(Problem(503, "upstream_error", "busy"), 1e300)
    assert json.loads(error_body(Api.GEMINI, problem, "id"))


@pytest.mark.parametrize(
    "error, established, reason",
    [
        ("[Errno -2] Name or service not known", False, Reason.DNS_FAILED),
        ("[Errno 8] nodename nor servname provided, or not known", False, Reason.DNS_FAILED),
        ("[Errno 11001] getaddrinfo failed", False, Reason.DNS_FAILED),
        ("[Errno -3] Temporary failure in name resolution", False, Reason.DNS_FAILED),
        ("Certificate verify failed: self-signed certificate", True, Reason.CERTIFICATE_REFUSED),
        ("Certificate verify failed: hostname mismatch", True, Reason.CERTIFICATE_REFUSED),
        ("IP address mismatch, certificate is not valid for '127.0.0.1'", True, Reason.CERTIFICATE_REFUSED),
        ("The remote server does not speak TLS.", True, Reason.TLS_FAILED),
        (f"Connection killed: {LOOP}", False, Reason.LEADS_BACK),
        ("Multiple exceptions: [Errno 111] Connect call failed", False, Reason.CONNECT_FAILED),
        ("", False, Reason.CONNECT_FAILED),
    ],
)
def test_a_failed_connect_is_sorted_by_its_words(error: str, established: bool, reason: Reason) -> None:
    assert connect_failure(error, established).reason is reason


REFUSED = "Upstream proxy proxy.test:3128 refused HTTP CONNECT request: "


@pytest.mark.parametrize(
    "error, reason, told",
    [
        (
            REFUSED + "407 Proxy Authentication Required",
            Reason.PROXY_REFUSED,
            "(proxy.test:3128 answers 407 Proxy Auth",
        ),
        (REFUSED + "401 Unauthorized", Reason.PROXY_REFUSED, "(proxy.test:3128 answers 401 Unauthorized)"),
        (REFUSED + "403 Forbidden", Reason.PROXY_REFUSED, "(proxy.test:3128 answers 403 Forbidden)"),
        (REFUSED + "429 ", Reason.CONNECT_FAILED, "(proxy.test:3128 answers 429 )"),
        (
            REFUSED + "503 Service Unavailable",
            Reason.CONNECT_FAILED,
            "(proxy.test:3128 answers 503 Service Unavailable)",
        ),
        (
            "[Errno 111] refused",
            Reason.CONNECT_FAILED,
            "(through the outbound proxy proxy.test:3128: [Errno 111] refused)",
        ),
        ("Name or service not known", Reason.CONNECT_FAILED, "proxy.test:3128: its name cannot be resolved)"),
        ("Certificate verify failed: self-signed", Reason.CERTIFICATE_REFUSED, "codemie_upstream_attempts_ca_file"),
    ],
)
def test_behind_an_outbound_proxy_it_is_told_who_failed(error: str, reason: Reason, told: str) -> None:
    failure = connect_failure(error, False, "proxy.test:3128")
    assert failure.reason is reason
    assert told in problem_of(failure).message


def test_a_wrong_password_of_an_outbound_proxy_is_shown_once() -> None:
    # A few wrong ones lock many a company's accounts.
    failure = connect_failure(REFUSED + "407 Proxy Authentication Required", False, "proxy.test:3128")
    answer = decide(PLAN, failure, 1, 0.0)
    assert isinstance(answer, Answer)
    assert isinstance(answer.response, Problem)
    assert dict(error_headers(answer.response, "id"))["x-should-retry"] == "false"
