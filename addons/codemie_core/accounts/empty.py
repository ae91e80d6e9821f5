"""The answer when no account of the pool is usable: agents shall wait, not quit.

Claude Code waits for up to 60 s at a time and gives up at 61; Codex waits however long it is told, but not without a
time; all retry a 429 or a 503 that says when. So the time is real and comes in steps of at most a minute. Only Claude
Code with a subscription's token takes every 429 for the end of its session; it keeps waiting on a 503.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codemie_core.accounts.verdicts import LIMIT_REASONS
from codemie_core.errors import LONGEST_RETRY_AFTER, Problem

PROBING = "probing"
"""Another request is finding out whether the account is back."""

_MOST_NAMED = 20
"""Accounts named in a message; a pool may have a thousand."""
_LONGEST_REASON = 120


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why one account cannot serve. `until` is in seconds since the epoch, None when only a person can tell."""

    name: str
    reason: str
    until: float | None = None
    serves: bool = True
    """False when it never serves this model, however long somebody waits."""


def pool_empty(unusable: Sequence[Unusable], now: float, quits_on_429: bool = False) -> Problem:
    """429 when limits are all there is, else 503; with the nearest reset, and each account's reason.

    Accounts that do not serve the model count only when there are no others: 400 then, for waiting would not help.
    `quits_on_429`: this client takes any 429 as final, so it hears a 503.
    """
    if unusable and not any(one.serves for one in unusable):
        return Problem(
            400, "model_not_served", f"No account of the pool may be asked for this model: {_named(unusable)}."
        )
    unusable = [one for one in unusable if one.serves]
    if len(unusable) > _MOST_NAMED:
        unusable.sort(key=lambda one: math.inf if one.until is None else one.until)
    limited = bool(unusable) and all(one.reason.endswith(LIMIT_REASONS) for one in unusable)
    times = [one.until for one in unusable if one.until is not None and math.isfinite(one.until)]
    wait = min(min(times) - now, LONGEST_RETRY_AFTER) if times else LONGEST_RETRY_AFTER
    words = f"No account of the pool can serve this now ({_named(unusable, now) or 'none serves this model'})."
    if not times:
        words += " Its operator can see more with: codemie-proxy accounts list"
    status = 429 if limited and not quits_on_429 else 503
    return Problem(status, "pool_exhausted", words, max(math.ceil(wait), 1))


def _named(unusable: Sequence[Unusable], now: float = math.inf) -> str:
    reasons = [f"{one.name}: {one.reason[:_LONGEST_REASON]}{_until(one, now)}" for one in unusable[:_MOST_NAMED]]
    if len(unusable) > _MOST_NAMED:
        reasons.append(f"and {len(unusable) - _MOST_NAMED} more")
    return "; ".join(reasons)


def _until(one: Unusable, now: float) -> str:
    if one.until is None or one.reason == PROBING or not one.until > now:
        return ""
    return f", free in {_span(one.until - now)}"


def _span(seconds: float) -> str:
    """Rounded up: the person in front of the agent may live in another time zone than the proxy."""
    if seconds <= 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(min(seconds, 1e9) / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = math.ceil(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{math.ceil(hours / 24)} days"
