"""Times as upstreams write them: numbers, spans, RFC 3339, HTTP dates. What cannot be read is None, never an error."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 366 * 86400.0
"""Seconds. A time farther away than this is none."""

_EPOCH = 1e9
"""A number from here on is a time, below it a span."""
_MILLISECONDS = 1e11
"""A time from here on is in milliseconds."""
_LONGEST_TEXT = 100
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,12})?", re.ASCII)
_SPAN = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(us|µs|ms|s|m|h|d)", re.ASCII)
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def moment(text: str, now: float) -> float | None:
    """Unix seconds or milliseconds, RFC 3339, or a span from now; None unless it lies ahead, within a year."""
    if not text or len(text) > _LONGEST_TEXT:
        return None
    value = number(text)
    if value is not None:
        return ahead(value / 1000 if value >= _MILLISECONDS else value if value >= _EPOCH else now + value, now)
    span = seconds_of(text)
    if span is not None:
        return ahead(now + span, now)
    try:
        return ahead(_in_utc(datetime.fromisoformat(text)), now)
    except (ValueError, OverflowError):
        return None


def ahead(at: float, now: float) -> float | None:
    """The time if it lies ahead, within a year."""
    return at if now < at <= now + LONGEST else None


def http_date(text: str) -> float | None:
    """Like `Wed, 21 Oct 2026 07:28:00 GMT`."""
    if not text or len(text) > _LONGEST_TEXT:
        return None
    try:
        return _in_utc(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def seconds_of(text: str) -> float | None:
    """A span like "1h2m3.5s", "6s", "12ms"; None for anything else."""
    if len(text) > _LONGEST_TEXT:
        return None
    total, end = 0.0, 0
    for match in _SPAN.finditer(text):
        if match.start() != end:
            return None
        total, end = total + float(match[1]) * _UNITS[match[2]], match.end()
    return total if end and end == len(text) else None


def number(text: str) -> float | None:
    """A plain number that is not negative; None for anything else, "nan" and "1e9" too."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _in_utc(at: datetime) -> float:
    # One without a zone must not mean another time on another machine.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
