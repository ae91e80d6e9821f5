"""Moments as people name them: "7d" for a week ago, "today", "2026-11-01", "2026-11-01T12:30"."""

from __future__ import annotations

from datetime import datetime, timedelta

from codemie_core.durations import parse_duration
from codemie_core.errors import SettingsError

FORMS = '"7d", "24h", "30m", "today", "yesterday", "2026-11-01" or "2026-11-01T12:30"'


def moment_ms(option: str, text: str, now: float) -> int:
    """Milliseconds since the epoch. Dates are of this machine's time zone. SettingsError names the forms."""
    word = text.strip().lower()
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": now, "today": midnight.timestamp(), "yesterday": (midnight - timedelta(days=1)).timestamp()}
    if word in named:
        return round(named[word] * 1000)
    found = _ago(word, now)
    if found is None:
        found = _date(text.strip())
    if found is None:
        raise SettingsError(f"{option} {text}: write {FORMS}")
    # Further back is no history of anybody's.
    return round(min(max(found, 0.0), 253_402_200_000.0) * 1000)


def _ago(word: str, now: float) -> float | None:
    try:
        # Without a unit it would be seconds, which nobody means.
        return None if word[-1:].isdigit() else now - parse_duration(word)
    except ValueError:
        return None


def _date(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
