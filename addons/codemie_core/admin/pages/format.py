"""What the pages make of the services' answers: moments as numbers, states as words with a mood, names of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from codemie_core.amounts import money, several, share, span, tokens

__all__ = [
    "dollars",
    "ending",
    "moment",
    "money",
    "mood_of_account",
    "points",
    "several",
    "share",
    "short",
    "span",
    "tokens",
    "trend",
]

ENDINGS: Mapping[str, tuple[str, str]] = {
    "complete": ("complete", "good"),
    "truncated": ("cut short", "bad"),
    "upstream_error": ("upstream error", "bad"),
    "client_cancelled": ("cancelled", "warn"),
    "answered_locally": ("answered here", ""),
    "refused": ("refused", "bad"),
    "proxy_stopped": ("proxy stopped", "warn"),
}
_ACCOUNTS: Mapping[str, str] = {
    "ready": "good",
    "in use": "good",
    "paused": "",
    "sign in again": "bad",
    "limited": "warn",
    "guessed": "warn",
    "recovering": "live",
    "probing": "live",
}


def moment(iso: str | None) -> int | None:
    """Milliseconds since the epoch, of a time as the services write it."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000) if iso else None


def ending(terminal: str, ok: bool, status: int | None) -> tuple[str, str]:
    """How a request ended, as a word and its mood. A status that is no success says more than that all of it came."""
    if not ok and status is not None and status >= 400:
        return str(status), "bad"
    words, mood = ENDINGS.get(terminal, (terminal.replace("_", " ") or "?", ""))
    return (words, mood) if ok or mood != "good" else ("failed", "bad")


def mood_of_account(state: str) -> str:
    """For the badge of an account."""
    return _ACCOUNTS.get(state, "")


def dollars(usd: float | None) -> str:
    """Like $12.34 or $0.0154."""
    return money(None if usd is None else round(usd * 1_000_000_000))


def short(identity: str) -> str:
    """An id as lists show it."""
    return identity[:8]


def points(now: float | None, before: float | None) -> str:
    """How many percent points more or less than before, like -2 pts."""
    if now is None or before is None:
        return ""
    change = round(now - before, 1)
    return f"{change:+.3g} pts" if change else ""


def trend(now: float | None, before: float | None) -> str:
    """How much more or less than before, like +12%; "" when that says nothing."""
    if not before or now is None:
        return ""
    change = round((now - before) / before * 100)
    if abs(change) >= 1000:
        return f"{now / before:.0f} times"
    return f"{change:+d}%" if change else ""
