"""The table of what a failure means."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.limits import SILENT, Limits, Window
from codemie_core.accounts.moments import LONGEST
from codemie_core.accounts.verdicts import (
    DISABLED,
    LIMITED,
    NO_CREDITS,
    NO_QUOTA,
    OVERLOAD,
    REFUSED,
    SPENT,
    Act,
    Scope,
    Verdict,
    judge,
    judge_event,
)
from codemie_core.policy import Failure, Reason

NOW = 1_790_000_000.0
RESET = NOW + 3600

SPEND_LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-10-01 at 00:00 UTC."

RELEASE = Verdict(Act.RELEASE)
NEXT = Verdict(Act.NEXT)
REFUSED_KEY = Verdict(Act.REFRESH, Scope.ACCOUNT, reason=REFUSED, escalates=True)
GUESS = Verdict(Act.NEXT, Scope.ACCOUNT, reason=LIMITED, escalates=True)
MODEL_GUESS = Verdict(Act.NEXT, Scope.MODEL, reason=NO_QUOTA, escalates=True)
CREDITS = Verdict(Act.NEXT, Scope.MODEL, reason=NO_CREDITS, escalates=True)

REJECTED = Limits((Window("5h", 1.0, resets_at=RESET, status="rejected"),), "rejected", RESET, claim="five_hour")
ALLOWED = Limits((Window("5h", 0.5, resets_at=RESET, status="allowed"),), "allowed", RESET, claim="five_hour")
OPUS_OUT = Limits((Window("7d_opus", 1.0, resets_at=RESET, status="rejected"),), "rejected", RESET)
NO_EXTRA = Limits((Window("5h", 0.5, resets_at=RESET, status="allowed"),), "rejected", out_of_credits=True)


def verified(scope: Scope, until: float, reason: str) -> Verdict:
    return Verdict(Act.NEXT, scope, until, True, reason, True)


def overloaded(seconds: float, scope: Scope = Scope.ACCOUNT) -> Verdict:
    return Verdict(Act.NEXT, scope, NOW + seconds, reason=OVERLOAD)


def of(status: int, limits: Limits = SILENT, body: Any = None, retry_after: float | None = None) -> Verdict:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return judge(Failure(Reason.STATUS, status=status, retry_after=retry_after), limits, raw, NOW)


def said(message: str, kind: str = "x") -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    "limits, body, verdict",
    [
        (REJECTED, None, verified(Scope.ACCOUNT, RESET, LIMITED)),
        (Limits(retry_after=30.0), None, verified(Scope.ACCOUNT, NOW + 30, LIMITED)),
        (Limits(retry_after=0.0), None, GUESS),
        (Limits(resets_at=NOW + LONGEST + 1), None, GUESS),
        (Limits(resets_at=RESET), None, verified(Scope.ACCOUNT, RESET, LIMITED)),
        (ALLOWED, None, GUESS),
        (SILENT, None, GUESS),
        (SILENT, b"event: error\ndata: {}\n\n", GUESS),
        (Limits(should_retry=False), None, GUESS),
        (Limits(should_retry=True), None, NEXT),
        (Limits((Window("tokens", remaining=5),), should_retry=True), None, GUESS),
        (Limits(should_retry=True, retry_after=3.0), None, verified(Scope.ACCOUNT, NOW + 3, LIMITED)),
        (OPUS_OUT, None, verified(Scope.MODEL, RESET, NO_QUOTA)),
        (NO_EXTRA, None, CREDITS),
        (Limits((*REJECTED.windows,), "rejected", RESET, out_of_credits=True), None,
         verified(Scope.ACCOUNT, RESET, LIMITED)),
        (SILENT, said("x", "insufficient_quota"), CREDITS),
        (Limits(retry_after=30.0), said("x", "insufficient_quota"), CREDITS),
        (SILENT, said("Rate limit reached for gpt-5 in organization o. Please try again in 20s."),
         verified(Scope.MODEL, NOW + 20, NO_QUOTA)),
        (Limits(retry_after=30.0), said("Rate limit reached for gpt-5 in organization o"),
         verified(Scope.MODEL, NOW + 30, NO_QUOTA)),
        (REJECTED, said("limited (org: o, model: claude-opus-4-6)"), verified(Scope.ACCOUNT, RESET, LIMITED)),
        (SILENT, said("limited (org: o, model: claude-opus-4-6)"), MODEL_GUESS),
        (SILENT, {"error": {"type": "usage_limit_reached", "resets_at": RESET}},
         verified(Scope.ACCOUNT, RESET, LIMITED)),
        (Limits(retry_after=30.0), said("Request too large for gpt-5 in organization o"), NEXT),
        (ALLOWED, said("Extra usage is required for long context requests."), NEXT),
        (SILENT, said("No capacity available for model gemini-3 on the server"), overloaded(10, Scope.MODEL)),
        (SILENT, said("x", "engine_overloaded_error"), overloaded(10)),
        (Limits(retry_after=30.0), said("x", "engine_overloaded_error"), verified(Scope.ACCOUNT, NOW + 30, LIMITED)),
        # Some gateways make a 429 of the provider's 400.
        (SILENT, said("messages.1.content.0: Invalid `signature` in `thinking` block"), RELEASE),
    ],
)  # fmt: skip
def test_429(limits: Limits, body: Any, verdict: Verdict) -> None:
    assert of(429, limits, body) == verdict


def test_a_429_trusts_what_only_the_machine_has_read() -> None:
    assert of(429, retry_after=12.0) == verified(Scope.ACCOUNT, NOW + 12, LIMITED)


@pytest.mark.parametrize(
    "header, machine, seconds",
    [
        (None, None, 10),
        (3.0, None, 3),
        (None, 3.0, 3),
        (60.0, None, 60),
        (61.0, None, 60),
        (48 * 3600.0, None, 60),
        (0.2, None, 1),
        (0.0, None, 10),
        (None, -5.0, 10),
        (None, math.nan, 10),
        (None, math.inf, 10),
    ],
)
def test_529_is_short_and_never_grows(header: float | None, machine: float | None, seconds: float) -> None:
    verdict = of(529, Limits(retry_after=header), retry_after=machine)
    assert verdict == overloaded(seconds)
    assert (verdict.verified, verdict.escalates) == (False, False)


@pytest.mark.parametrize(
    "status, body, verdict",
    [
        (401, None, REFUSED_KEY),
        (401, said("credit balance"), REFUSED_KEY),
        (402, None, CREDITS),
        (402, b"\xff", CREDITS),
        (400, None, RELEASE),
        (400, said("max_tokens: Field required"), RELEASE),
        (400, said("You're out of extra usage."), RELEASE),
        (400, said("Your credit balance is too low to access the Anthropic API."), CREDITS),
        (400, said("This organization has been disabled."),
         Verdict(Act.NEXT, Scope.ACCOUNT, reason=DISABLED, escalates=True)),
        (400, said("API key not valid. Please pass a valid API key."), REFUSED_KEY),
        (400, said(SPEND_LIMIT),
         verified(Scope.ACCOUNT, 1_790_812_800.0, SPENT)),
        (403, said("Your credit balance is too low", "insufficient_quota"), RELEASE),
        (404, None, RELEASE),
        (413, None, RELEASE),
        (422, None, RELEASE),
        (500, None, RELEASE),
        (502, None, NEXT),
        (503, None, NEXT),
        (504, None, NEXT),
        (0, None, RELEASE),
    ],
)  # fmt: skip
def test_other_statuses(status: int, body: Any, verdict: Verdict) -> None:
    assert of(status, body=body) == verdict


def test_a_bad_request_of_an_account_without_credits_for_more_is_still_the_clients_own() -> None:
    # Subscriptions without extra usage bear this header on every response.
    assert of(400, Limits(out_of_credits=True), said("prompt is too long")) == RELEASE


@pytest.mark.parametrize(
    "reason, verdict",
    [
        (Reason.CONNECT_FAILED, NEXT),
        (Reason.DNS_FAILED, NEXT),
        (Reason.TLS_FAILED, NEXT),
        (Reason.CERTIFICATE_REFUSED, NEXT),
        (Reason.PROXY_REFUSED, NEXT),
        (Reason.CONNECT_TIMEOUT, NEXT),
        (Reason.FIRST_BYTE_TIMEOUT, NEXT),
        (Reason.RESET, NEXT),
        (Reason.BAD_HEAD, NEXT),
        (Reason.IDLE_TIMEOUT, RELEASE),
        (Reason.REJECTED, RELEASE),
    ],
)
def test_failures_without_an_answer_bench_nothing(reason: Reason, verdict: Verdict) -> None:
    assert judge(Failure(reason), SILENT, None, NOW) == verdict


@pytest.mark.parametrize(
    "kind, opening, in_the_middle",
    [
        ("rate_limit_error", GUESS, GUESS),
        ("rate_limit_exceeded", GUESS, GUESS),
        ("usage_limit_reached", GUESS, GUESS),
        ("RESOURCE_EXHAUSTED", GUESS, GUESS),
        ("insufficient_quota", CREDITS, CREDITS),
        ("billing_error", CREDITS, CREDITS),
        ("overloaded_error", overloaded(10), overloaded(10)),
        ("server_is_overloaded", overloaded(10), overloaded(10)),
        ("slow_down", overloaded(10), overloaded(10)),
        ("authentication_error", REFUSED_KEY, REFUSED_KEY),
        ("UNAUTHENTICATED", REFUSED_KEY, REFUSED_KEY),
        ("api_error", NEXT, RELEASE),
        ("server_error", NEXT, RELEASE),
        ("timeout_error", NEXT, RELEASE),
        ("UNAVAILABLE", NEXT, RELEASE),
        ("invalid_request_error", RELEASE, RELEASE),
        ("permission_error", RELEASE, RELEASE),
        ("not_found_error", RELEASE, RELEASE),
        ("", RELEASE, RELEASE),
    ],
)
def test_an_error_event_is_judged_like_its_status(kind: str, opening: Verdict, in_the_middle: Verdict) -> None:
    assert judge(Failure(Reason.ERROR_EVENT, kind), SILENT, None, NOW) == opening
    assert judge_event(kind, NOW) == in_the_middle


def test_the_head_of_a_stream_that_opens_with_an_error_counts() -> None:
    verdict = judge(Failure(Reason.ERROR_EVENT, "rate_limit_error"), REJECTED, None, NOW)
    assert verdict == verified(Scope.ACCOUNT, RESET, LIMITED)


TIMES = st.none() | st.floats(NOW - 1e6, NOW + 1e9)
LIMITS = st.builds(
    Limits,
    st.lists(
        st.builds(
            Window,
            st.sampled_from(["5h", "7d", "7d_opus", "tokens"]),
            st.none() | st.floats(0, 2),
            st.none() | st.integers(0, 5),
            resets_at=TIMES,
            status=st.sampled_from(["", "allowed", "rejected"]),
        ),
        max_size=3,
    ).map(tuple),
    st.sampled_from(["", "allowed", "rejected"]),
    TIMES,
    st.none() | st.floats(0, 1e9),
    st.sampled_from(["", "five_hour", "seven_day_opus"]),
    st.just(""),
    st.booleans(),
    st.none() | st.booleans(),
)


@given(
    st.builds(
        Failure,
        st.sampled_from(Reason),
        st.sampled_from(["", "rate_limit_error", "overloaded_error"]),
        st.none() | st.sampled_from([400, 401, 402, 403, 429, 500, 503, 529]),
        st.none() | st.floats(),
    ),
    LIMITS,
    st.none() | st.binary(max_size=200),
)
def test_no_failure_raises_or_verifies_a_time_that_is_past_or_beyond_a_year(
    failure: Failure, limits: Limits, body: bytes | None
) -> None:
    verdict = judge(failure, limits, body, NOW)
    assert verdict.until is None or NOW < verdict.until <= NOW + LONGEST
    assert not verdict.verified or verdict.until is not None
    assert verdict.scope is not Scope.NONE or verdict.until is None
    assert bool(verdict.reason) == (verdict.scope is not Scope.NONE)
