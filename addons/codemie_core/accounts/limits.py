"""What a response head says of its account's limits: every header family seen on the wire, in one form.

Anthropic sends resets as Unix seconds (subscriptions) or RFC 3339 (API keys), OpenAI as spans ("1m30s"), Codex minutes
and percent. What cannot be read is as good as absent: a head is never a reason to fail.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 366 * 86400.0
"""Seconds. A reset farther away than this is none."""
HARD = frozenset({"rejected", "rate_limited", "blocked", "queueing_hard", "payment_required"})
"""Words of Anthropic's for a window that is used up."""

_EPOCH = 1e9
"""A number above this is a time, below it a span."""
_PREFIXES = (b"anthropic-ratelimit-", b"x-ratelimit-", b"x-codex-", b"retry-after", b"x-should-retry")
_LONGEST_VALUE = 100
_UNIFIED = (re.compile(r"anthropic-ratelimit-unified-(?P<name>.+)-(?P<part>status|reset|utilization)"),)
_METERED = (
    re.compile(r"anthropic-ratelimit-(?P<name>.+)-(?P<part>limit|remaining|reset)"),
    re.compile(r"x-ratelimit-(?P<part>limit|remaining|reset)-(?P<name>.+)"),
)
_CODEX = (
    re.compile(r"x-codex-(?P<name>.+)-(?P<part>used-percent|window-minutes|reset-after-seconds)"),
    re.compile(r"x-codex-(?P<name>.+)-(?P<part>reset)s?-at"),
)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_SPAN = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(us|µs|ms|s|m|h|d)", re.ASCII)
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Window:
    """One limit: a share used, or a count left. `resets_at` is in seconds since the epoch and lies ahead."""

    name: str
    utilization: float | None = None
    remaining: int | None = None
    limit: int | None = None
    resets_at: float | None = None
    status: str = ""

    @property
    def spent(self) -> bool:
        """Is nothing left in it?"""
        full = self.utilization is not None and self.utilization >= 1.0
        return self.status in HARD or self.remaining == 0 or full


@dataclass(frozen=True, slots=True)
class Limits:
    """All that one head says. Times are seconds since the epoch, `retry_after` is a span in seconds."""

    windows: tuple[Window, ...] = ()
    status: str = ""
    """Anthropic's verdict over all windows."""
    resets_at: float | None = None
    """Its reset."""
    retry_after: float | None = None
    claim: str = ""
    """The window that Anthropic holds against the request, like five_hour."""
    overage: str = ""
    out_of_credits: bool = False
    should_retry: bool | None = None

    @property
    def silent(self) -> bool:
        """Does it say nothing of any limit?"""
        return not (self.windows or self.status or self.resets_at or self.retry_after is not None)

    def reset(self, now: float) -> float | None:
        """When the upstream says that the account serves again; None when it does not say."""
        waited = None if self.retry_after is None else now + self.retry_after
        if self.status in HARD and self.resets_at is not None:
            return max(self.resets_at, waited or 0.0)
        if waited is not None:
            # The counters of API keys refill all the time; their own resets say when they will be full again.
            return waited
        spent = [window.resets_at for window in self.windows if window.spent and window.resets_at is not None]
        return max(spent, default=self.resets_at)


SILENT = Limits()


def read_limits(fields: Iterable[tuple[bytes, bytes]], now: float) -> Limits:
    """The limits in a response's raw header fields. `now` is in seconds since the epoch."""
    found: dict[str, str] = {}
    for name, value in fields:
        lowered = name.lower()
        if lowered.startswith(_PREFIXES) and len(value) <= _LONGEST_VALUE:
            found[lowered.decode("latin-1")] = value.decode("latin-1").strip()
    return _limits(found, now) if found else SILENT


def _limits(found: dict[str, str], now: float) -> Limits:
    unified = "anthropic-ratelimit-unified-"
    overage = found.get(f"{unified}overage-status", "")
    return Limits(
        windows=(*_unified(found, now), *_metered(found, now), *_codex(found, now)),
        status=found.get(f"{unified}status", "").lower(),
        resets_at=moment(found.get(f"{unified}reset", ""), now) or moment(found.get("x-ratelimit-reset", ""), now),
        retry_after=retry_after_of(found, now),
        claim=found.get(f"{unified}representative-claim", ""),
        overage=overage,
        out_of_credits=found.get(f"{unified}overage-disabled-reason", "") == "out_of_credits",
        should_retry={"true": True, "false": False}.get(found.get("x-should-retry", "").lower()),
    )


def _grouped(found: dict[str, str], patterns: Iterable[re.Pattern[str]]) -> dict[str, dict[str, str]]:
    windows: dict[str, dict[str, str]] = {}
    for header, value in found.items():
        for pattern in patterns:
            if match := pattern.fullmatch(header):
                windows.setdefault(match["name"], {})[match["part"]] = value
                break
    return windows


def _unified(found: dict[str, str], now: float) -> Iterable[Window]:
    for name, parts in _grouped(found, _UNIFIED).items():
        if name == "overage":
            continue  # It never decides about admission.
        yield Window(
            name,
            utilization=number(parts.get("utilization", "")),
            resets_at=moment(parts.get("reset", ""), now),
            status=parts.get("status", "").lower(),
        )


def _metered(found: dict[str, str], now: float) -> Iterable[Window]:
    for name, parts in _grouped(found, _METERED).items():
        if name.startswith("unified"):
            continue
        remaining, limit = number(parts.get("remaining", "")), number(parts.get("limit", ""))
        yield Window(
            name,
            remaining=None if remaining is None else int(remaining),
            limit=None if limit is None else int(limit),
            resets_at=moment(parts.get("reset", ""), now),
        )


def _codex(found: dict[str, str], now: float) -> Iterable[Window]:
    for name, parts in _grouped(found, _CODEX).items():
        percent = number(parts.get("used-percent", ""))
        minutes = number(parts.get("window-minutes", ""))
        reset = moment(parts.get("reset", ""), now)
        after = number(parts.get("reset-after-seconds", ""))
        if reset is None and after is not None:
            reset = _ahead(now + after, now)
        if minutes is not None:
            name = "five_hour" if minutes <= 300 else "seven_day" if minutes >= 10_080 else name
        yield Window(
            {"5h": "five_hour", "7d": "seven_day"}.get(name, name),
            utilization=None if percent is None else percent / 100,
            resets_at=reset,
        )


def retry_after_of(found: dict[str, str], now: float) -> float | None:
    """Seconds from `retry-after-ms`, `retry-after` as seconds or as an HTTP date; None when neither can be read."""
    milliseconds = number(found.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST)
    text = found.get("retry-after", "")
    seconds = number(text)
    if seconds is None and text:
        at = _date(text)
        seconds = at - now if at is not None and at > now else None
    return None if seconds is None else min(seconds, LONGEST)


def moment(text: str, now: float) -> float | None:
    """A reset: Unix seconds or milliseconds, RFC 3339, or a span from now; None unless it lies ahead, within a year."""
    if not text:
        return None
    value = number(text)
    if value is not None:
        at = value / 1000 if value > _EPOCH * 100 else value if value > _EPOCH else now + value
        return _ahead(at, now)
    span = seconds_of(text)
    if span is not None:
        return _ahead(now + span, now)
    try:
        parsed = datetime.fromisoformat(text)
        return _ahead((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp(), now)
    except (ValueError, OverflowError, OSError):
        return None


def seconds_of(text: str) -> float | None:
    """A span like "1h2m3.5s", "6s", "12ms"; None for anything else."""
    total, end = 0.0, 0
    for match in _SPAN.finditer(text):
        if match.start() != end:
            return None
        total, end = total + float(match[1]) * _UNITS[match[2]], match.end()
    return total if end and end == len(text) else None


def number(text: str) -> float | None:
    """A plain number that is not negative; None for anything else, "nan" and "1e9" too."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _ahead(at: float, now: float) -> float | None:
    return at if math.isfinite(at) and now < at <= now + LONGEST else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
