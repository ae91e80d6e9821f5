"""What a failed attempt means for its account and for the request: a pure table.

Choices: a reset that the upstream named is trusted in full, only guesses grow. An overload (529) is short, apart and
never grows. Out of credits and out of one model bench that model, not the account. A 429 that speaks of no limit at all
and asks to be tried again benches nothing. 403 and other 4xx are the request's own and go to the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from codemie_core.accounts.limits import LONGEST, Limits, seconds_of
from codemie_core.policy import Failure, Reason

OVERLOADED = 10.0
LONGEST_OVERLOAD = 60.0
"""Seconds that an overloaded account is left alone: what the upstream says, up to this."""

LIMITED = "limited (429)"
NO_CREDITS = "out of credits"
NO_QUOTA = "no quota left for this model"
OVERLOAD = "overloaded (529)"
REFUSED = "its key is refused (401)"
LIMIT_REASONS = (LIMITED, NO_CREDITS, NO_QUOTA)
"""Those that mean: all used up, come back later."""

_CREDIT_WORDS = re.compile(
    r"credit balance|insufficient[_ ]quota|insufficient credits|out of credits|exceeded your current quota|"
    r"billing[_ ]hard[_ ]limit|payment required",
    re.IGNORECASE,
)
_OF_ONE_MODEL = re.compile(r"reached for [\w.:-]+ in (organization|project)|per ?model|permodel", re.IGNORECASE)
_MODELS = ("opus", "sonnet", "haiku", "fable")
_STATUS_OF_EVENT = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "RESOURCE_EXHAUSTED": 429,
    "overloaded_error": 529,
    "server_is_overloaded": 529,
    "slow_down": 529,
    "billing_error": 402,
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
_TRIED_ELSEWHERE = {502, 503, 504}


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


def judge(failure: Failure, limits: Limits, body: bytes | None, now: float) -> Verdict:
    """The verdict over an attempt of an account. `body` is what the error said, decoded, if anybody read it."""
    match failure.reason:
        case Reason.STATUS:
            return _of_status(failure.status or 0, failure, limits, body or b"", now)
        case Reason.ERROR_EVENT:
            status = _STATUS_OF_EVENT.get(failure.detail)
            words = json.dumps({"type": failure.detail}).encode()
            return _RELEASE if status is None else _of_status(status, failure, limits, words, now)
        case Reason.REJECTED | Reason.IDLE_TIMEOUT:
            return _RELEASE
        case _:
            return _NEXT


def judge_event(kind: str, now: float) -> Verdict:
    """The verdict over an error event in the middle of a stream, by its type."""
    status = _STATUS_OF_EVENT.get(kind)
    if status not in (401, 402, 429, 529):
        return _RELEASE
    return _of_status(status, Failure(Reason.ERROR_EVENT, kind), Limits(), json.dumps({"type": kind}).encode(), now)


def _of_status(status: int, failure: Failure, limits: Limits, body: bytes, now: float) -> Verdict:
    if status == 401:
        return Verdict(Act.REFRESH, Scope.ACCOUNT, reason=REFUSED, escalates=True)
    if status == 529:
        asked = limits.retry_after or failure.retry_after or OVERLOADED
        return Verdict(Act.NEXT, Scope.ACCOUNT, now + min(max(asked, 1.0), LONGEST_OVERLOAD), reason=OVERLOAD)
    if status in _TRIED_ELSEWHERE:
        return _NEXT
    words = list(_words(body))
    if status in (400, 402, 429) and (limits.out_of_credits or any(map(_CREDIT_WORDS.search, words))):
        return Verdict(Act.NEXT, Scope.MODEL, reason=NO_CREDITS, escalates=True)
    if status == 402:
        return Verdict(Act.NEXT, Scope.MODEL, reason=NO_CREDITS, escalates=True)
    return _limited(limits, words, now) if status == 429 else _RELEASE


def _limited(limits: Limits, words: list[str], now: float) -> Verdict:
    until = limits.reset(now) or _delay(words, now)
    if until is None and limits.should_retry and limits.silent:
        return _NEXT
    of_model = any(name in limits.claim for name in _MODELS) or any(map(_OF_ONE_MODEL.search, words))
    scope, reason = (Scope.MODEL, NO_QUOTA) if of_model else (Scope.ACCOUNT, LIMITED)
    return Verdict(Act.NEXT, scope, until, until is not None, reason, escalates=True)


def _delay(words: list[str], now: float) -> float | None:
    """Gemini says it in the body: `"retryDelay": "34s"`."""
    spans = [span for word in words if (span := seconds_of(word)) and span <= LONGEST]
    return now + max(spans) if spans else None


def _words(body: bytes) -> Iterator[str]:
    """All texts of a JSON error that say what it is about."""
    try:
        pending: list[object] = [json.loads(body)]
    except (ValueError, RecursionError):
        return
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, dict | list):
                    pending.append(inner)
                elif isinstance(inner, str) and key in _TELLING:
                    yield inner


_TELLING = frozenset({"type", "code", "message", "status", "reason", "quotaId", "quotaMetric", "retryDelay"})
