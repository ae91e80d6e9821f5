"""How long an account, or one model on it, is left alone. Pure rules over `Cooldown` values.

A reset that the upstream named is trusted in full. Guesses double, up to half an hour, once for each cooldown: requests
that were already out when it began tell nothing new. An overload is short and none of the account's making.
"""

from __future__ import annotations

from dataclasses import replace

from codemie_core.accounts.state import Cooldown
from codemie_core.accounts.verdicts import Verdict

FIRST_GUESS = 60.0
LONGEST_GUESS = 1800.0
HEALTHY = 300.0
"""Seconds of good answers after which the next guess is a first one again."""

_LAST_DOUBLING = 16


def guess(streak: int) -> float:
    """Seconds to wait after so many guesses in a row."""
    return min(LONGEST_GUESS, FIRST_GUESS * 2.0 ** (min(max(streak, 1), _LAST_DOUBLING) - 1))


def after_failure(
    former: Cooldown | None, account_id: str, model: str, verdict: Verdict, made: float, now: float
) -> Cooldown | None:
    """The cooldown that follows from a failure of a request made then; None when it changes nothing."""
    streak = former.streak if former else 0
    in_force = former.until if former and former.until > now else 0.0
    until = verdict.until
    if until is None or until <= now:
        # A reset that has passed already tells of clocks that differ, not of an account that is well.
        return _guessed(former, account_id, model, verdict, made, now)
    if verdict.verified:
        if former and in_force and former.verified:
            until = max(until, in_force)
            if until == in_force:
                return None
        return Cooldown(account_id, model, until, verdict.reason, True, streak, now)
    until = min(until, now + LONGEST_GUESS)
    if until <= in_force:
        return None
    return Cooldown(account_id, model, until, verdict.reason, False, streak, now)


def _guessed(
    former: Cooldown | None, account_id: str, model: str, verdict: Verdict, made: float, now: float
) -> Cooldown | None:
    late = former is not None and made <= former.since
    if not verdict.escalates:
        streak = former.streak if former else 0
    elif former is None or (former.over and not late and now - former.since >= HEALTHY):
        streak = 1
    else:
        streak = max(1, former.streak) if late else former.streak + 1
    until = now + guess(streak if verdict.escalates else 1)
    if former and former.until > now:
        long_enough = former.since + guess(streak) if late else until
        if former.until >= long_enough:
            return None
    return Cooldown(account_id, model, until, verdict.reason, False, streak, now)


def after_success(former: Cooldown, made: float, now: float) -> Cooldown | None:
    """The word that it is over; None when a request made then cannot tell."""
    if former.over or made <= former.since:
        return None
    return replace(former, until=now, since=now)


def combined(ours: Cooldown | None, theirs: Cooldown, now: float) -> Cooldown:
    """What holds when two processes know something: the newer word, but a longer limit is not cut by a shorter one."""
    if ours is None:
        return theirs
    if theirs.since == ours.since:
        return theirs if theirs.until > ours.until else ours
    newer, older = (theirs, ours) if theirs.since > ours.since else (ours, theirs)
    if newer.over or older.over or older.until <= max(newer.until, now):
        return newer
    return replace(older, since=newer.since, streak=max(older.streak, newer.streak))
