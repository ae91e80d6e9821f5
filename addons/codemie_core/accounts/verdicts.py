"""What a failed attempt means for its account and for the request: a pure table.

Choices: a reset that the upstream named is trusted in full, only guesses grow. An overload (529) is short, apart and
never grows. Out of credits and out of one model bench that model, not the account. A 429 that speaks of no limit at all
and asks to be tried again benches nothing. 403 and other 4xx are the request's own and go to the client.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from codemie_core.accounts.complaint import Complaint, read_complaint
from codemie_core.accounts.limits import SILENT, Limits
from codemie_core.accounts.moments import LONGEST, ahead
from codemie_core.accounts.thinking import rejected_signature
from codemie_core.policy import Failure, Reason

OVERLOADED = 10.0
LONGEST_OVERLOAD = 60.0
"""Seconds that an overloaded account is left alone: what the upstream says, up to this."""

LIMITED = "limited (429)"
SPENT = "its spend limit is reached"
NO_CREDITS = "out of credits"
NO_QUOTA = "no quota left for this model"
OVERLOAD = "overloaded (529)"
REFUSED = "its key is refused (401)"
DISABLED = "its organization is disabled"
LIMIT_REASONS = (LIMITED, SPENT, NO_CREDITS, NO_QUOTA)
"""Those that mean: all used up, come back later."""

_STATUS_OF_EVENT = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "usage_limit_reached": 429,
    "RESOURCE_EXHAUSTED": 429,
    "insufficient_quota": 402,
    "usage_not_included": 402,
    "billing_error": 402,
    "overloaded_error": 529,
    "engine_overloaded_error": 529,
    "server_is_overloaded": 529,
    "slow_down": 529,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "UNAUTHENTICATED": 401,
    "api_error": 503,
    "server_error": 503,
    "timeout_error": 504,
    "UNAVAILABLE": 503,
    "INTERNAL": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TRIED_ELSEWHERE = frozenset({502, 503, 504})


class Act(StrEnum):
    """What becomes of the request."""

    NEXT = "next"
    """The next account."""
    REFRESH = "refresh"
    """The same account once more with a new secret, then the next."""
    RELEASE = "release"
    """The client gets the upstream's own answer."""


class Scope(StrEnum):
    """What is left alone for a while."""

    NONE = "none"
    MODEL = "model"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`until` is in seconds since the epoch; None with a scope means that the pool has to guess."""

    act: Act
    scope: Scope = Scope.NONE
    until: float | None = None
    verified: bool = False
    """The upstream itself named `until`."""
    reason: str = ""
    """A short phrase for people."""
    escalates: bool = False
    """Does a guess grow when it happens again?"""


_RELEASE = Verdict(Act.RELEASE)
_NEXT = Verdict(Act.NEXT)
_REFUSED = Verdict(Act.REFRESH, Scope.ACCOUNT, reason=REFUSED, escalates=True)


def judge(failure: Failure, limits: Limits, body: bytes | None, now: float) -> Verdict:
    """The verdict over an attempt of an account. `body` is what the error said, decoded, if anybody read it."""
    match failure.reason:
        case Reason.STATUS:
            return _of_status(failure.status or 0, failure.retry_after, limits, body or b"", now)
        case Reason.ERROR_EVENT:
            status = _STATUS_OF_EVENT.get(failure.detail)
            return _RELEASE if status is None else _of_status(status, failure.retry_after, limits, b"", now)
        case Reason.REJECTED | Reason.IDLE_TIMEOUT:
            return _RELEASE
        case _:
            return _NEXT


def judge_event(kind: str, now: float) -> Verdict:
    """The verdict over an error event in the middle of a stream, by its type."""
    status = _STATUS_OF_EVENT.get(kind)
    return _of_status(status, None, SILENT, b"", now) if status in (401, 402, 429, 529) else _RELEASE


def _of_status(status: int, retry_after: float | None, limits: Limits, body: bytes, now: float) -> Verdict:
    if status == 401:
        return _REFUSED
    if status == 529:
        return _overloaded(Scope.ACCOUNT, limits.retry_after or retry_after, now)
    if status in _TRIED_ELSEWHERE:
        return _NEXT
    if status not in (400, 402, 429) or rejected_signature(status, body):
        return _RELEASE
    said = read_complaint(body, status, now)
    if said.key_refused:
        return _REFUSED
    if said.disabled:
        return Verdict(Act.NEXT, Scope.ACCOUNT, reason=DISABLED, escalates=True)
    if said.spend_limit:
        return _until(Scope.ACCOUNT, SPENT, said.until, now)
    if status == 402 or said.no_credits:
        return _until(Scope.MODEL, NO_CREDITS, None, now)
    return _limited(limits, said, retry_after, now) if status == 429 else _RELEASE


def _limited(limits: Limits, said: Complaint, retry_after: float | None, now: float) -> Verdict:
    if said.of_request:
        return _NEXT
    reset = limits.reset(now)
    if limits.out_of_credits and not limits.account_spent:
        # On subscriptions this header stands beside any limit: it decides only where the account's own are not spent.
        return _until(Scope.MODEL, NO_CREDITS, reset, now)
    until = reset or said.until or (now + retry_after if retry_after else None)
    if said.overloaded and until is None:
        return _overloaded(Scope.MODEL if said.of_model else Scope.ACCOUNT, None, now)
    if until is None and limits.should_retry and limits.silent:
        return _NEXT
    if not limits.account_spent and (limits.of_models or said.of_model):
        return _until(Scope.MODEL, NO_QUOTA, until, now)
    return _until(Scope.ACCOUNT, LIMITED, until, now)


def _until(scope: Scope, reason: str, until: float | None, now: float) -> Verdict:
    """Until the time that the upstream named, if it did."""
    at = None if until is None else ahead(until, now)
    return Verdict(Act.NEXT, scope, at, at is not None, reason, escalates=True)


def _overloaded(scope: Scope, asked: float | None, now: float) -> Verdict:
    known = asked if asked is not None and 0.0 < asked < LONGEST else OVERLOADED
    wait = min(max(known, 1.0), LONGEST_OVERLOAD)
    return Verdict(Act.NEXT, scope, now + wait, reason=OVERLOAD)
