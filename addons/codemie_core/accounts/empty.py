"""The answer when no account of the pool is usable: agents shall wait, not quit.

Claude Code waits for up to 60 s at a time and gives up at 61; Codex waits however long it is told; all retry a 429 or a
503 that says when. So the time is real and comes in steps of at most a minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from codemie_core.accounts.verdicts import LIMIT_REASONS
from codemie_core.errors import Problem

LONGEST_WAIT = 60
PROBING = "probing"
"""Another request is finding out whether the account is back."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why one account cannot serve. `until` is in seconds since the epoch, None when only a person can tell."""

    name: str
    reason: str
    until: float | None = None


def pool_empty(unusable: Sequence[Unusable], now: float) -> Problem:
    """429 when limits are all there is, else 503; with the nearest reset, and each account's reason."""
    limited = bool(unusable) and all(one.reason.endswith(LIMIT_REASONS) for one in unusable)
    times = [one.until for one in unusable if one.until is not None]
    wait = min(times) - now if times else float(LONGEST_WAIT)
    seconds = min(max(math.ceil(wait), 1), LONGEST_WAIT)
    reasons = "; ".join(f"{one.name}: {one.reason}{_until(one, now)}" for one in unusable)
    words = f"No account of the pool can serve this now ({reasons or 'none serves this model'})."
    if not times:
        words += " Its operator can see more with: codemie-proxy accounts list"
    return Problem(429 if limited else 503, "pool_exhausted", words, seconds)


def _until(one: Unusable, now: float) -> str:
    if one.until is None or one.reason == PROBING:
        return ""
    far = one.until - now > 12 * 3600
    return f" until {time.strftime('%Y-%m-%d %H:%M' if far else '%H:%M:%S', time.localtime(one.until))}"
