"""What a response head says of its account's limits: every header family seen on the wire, in one form.

Anthropic sends resets as Unix seconds (subscriptions) or RFC 3339 (API keys), OpenAI as spans ("1m30s"), Codex minutes
and percent. What cannot be read is as good as absent: a head is never a reason to fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from codemie_core.accounts.moments import LONGEST, ahead, http_date, moment, number

HARD = frozenset({"rejected", "rate_limited", "blocked", "queueing_hard", "payment_required"})
"""Words of Anthropic's for a window that is used up."""
SHARED = frozenset({"5h", "7d"})
"""Anthropic's windows that all models share; others, like 7d_opus or 7d_oi, are some models' own."""

_LONGEST_NAME = 64
_LONGEST_VALUE = 100
_MOST_WINDOWS = 16
"""Names come from upstreams and are stored: no more of them than any upstream has."""
_PARTS = tuple(
    (re.compile(pattern, re.ASCII), family)
    for pattern, family in (
        (r"anthropic-ratelimit-unified-overage-(?P<part>status|disabled-reason)", "overage"),
        (r"anthropic-ratelimit-unified-(?P<part>status|reset|representative-claim)", "unified"),
        (r"anthropic-ratelimit-unified-(?!overage)(?P<name>\w+)-(?P<part>status|reset|utilization)", "share"),
        (r"anthropic-ratelimit-(?!unified)(?P<name>[\w-]+)-(?P<part>limit|remaining|reset)", "count"),
        (r"x-ratelimit-(?P<part>limit|remaining|reset)-(?P<name>[\w-]+)", "count"),
        (r"x-codex-(?P<name>primary|secondary|5h|7d)-(?P<part>used-percent|window-minutes|reset[\w-]*)", "codex"),
        (r"(?P<part>x-ratelimit-reset|retry-after|retry-after-ms|x-should-retry)", "plain"),
    )
)
_MODELS_OWN = re.compile(r"(five_hour|seven_day)_\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """One limit: a share used, or a count left. `resets_at` is in seconds since the epoch and lies ahead."""

    name: str
    utilization: float | None = None
    """0 to 1, and a little above it where more was used than allowed."""
    remaining: int | None = None
    limit: int | None = None
    resets_at: float | None = None
    status: str = ""

    @property
    def spent(self) -> bool:
        """Is nothing left in it? Its own status knows best: above 1.0 it may still be `allowed`."""
        if self.status:
            return self.status in HARD
        return self.remaining == 0 or (self.utilization is not None and self.utilization >= 1.0)


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

    @property
    def account_spent(self) -> bool:
        """Is a window spent that all models share?"""
        return any(window.spent and window.name in SHARED for window in self.windows)

    @property
    def of_models(self) -> bool:
        """Is it only some models' own share that is spent?"""
        if self.account_spent:
            return False
        spent = [window.name for window in self.windows if window.status in HARD]
        return _MODELS_OWN.fullmatch(self.claim) is not None or any(name.startswith(("5h_", "7d_")) for name in spent)

    def reset(self, now: float) -> float | None:
        """When the upstream says that the account serves again; None when it does not say."""
        waited = now + self.retry_after if self.retry_after else 0.0
        spent = [window for window in self.windows if window.spent]
        if self.account_spent:
            # What some models' own week says is not about the account; where both are spent, the later one counts.
            named = [window.resets_at for window in spent if window.name in SHARED]
        else:
            named = [window.resets_at for window in spent if window.remaining is None]
        if self.status in HARD and not any(named):
            named.append(self.resets_at)
        if not any(named) and not waited:
            # The counters of API keys refill all the time: their resets say when they will be full, not when to come.
            named = [window.resets_at for window in spent]
            if not self.status:
                named.append(self.resets_at)
        latest = max((at for at in (*named, waited) if at), default=0.0)
        return latest if latest > now else None


SILENT = Limits()


def read_limits(fields: Iterable[tuple[bytes, bytes]], now: float) -> Limits:
    """The limits in a response's raw header fields. `now` is in seconds since the epoch."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in fields:
        if len(name) <= _LONGEST_NAME and (meaning := _meaning(name)) and len(value) <= _LONGEST_VALUE:
            family, window, part = meaning
            found.setdefault((family, window), {})[part] = value.decode("latin-1").strip()
    return _limits(found, now) if found else SILENT


@lru_cache(maxsize=1024)
def _meaning(name: bytes) -> tuple[str, str, str] | None:
    """Family, window and part that a header is about. Upstreams send the same few names again and again."""
    lowered = name.decode("latin-1").lower()
    for pattern, family in _PARTS:
        if match := pattern.fullmatch(lowered):
            return family, match.groupdict().get("name") or "", match["part"]
    return None


_NOTHING: dict[str, str] = {}


def _limits(found: dict[tuple[str, str], dict[str, str]], now: float) -> Limits:
    unified, plain = found.get(("unified", ""), _NOTHING), found.get(("plain", ""), _NOTHING)
    overage = found.get(("overage", ""), _NOTHING)
    return Limits(
        windows=tuple(_windows(found, now))[:_MOST_WINDOWS],
        status=unified.get("status", "").lower(),
        resets_at=moment(unified.get("reset", ""), now) or moment(plain.get("x-ratelimit-reset", ""), now),
        retry_after=_retry_after(plain, now),
        claim=unified.get("representative-claim", ""),
        overage=overage.get("status", ""),
        out_of_credits=overage.get("disabled-reason", "") == "out_of_credits",
        should_retry={"true": True, "false": False}.get(plain.get("x-should-retry", "").lower()),
    )


def _windows(found: dict[tuple[str, str], dict[str, str]], now: float) -> Iterator[Window]:
    for (family, name), parts in found.items():
        if family == "share":
            yield Window(
                name,
                utilization=number(parts.get("utilization", "")),
                resets_at=moment(parts.get("reset", ""), now),
                status=parts.get("status", "").lower(),
            )
        elif family == "count":
            remaining, limit = number(parts.get("remaining", "")), number(parts.get("limit", ""))
            yield Window(
                name,
                remaining=None if remaining is None else int(remaining),
                limit=None if limit is None else int(limit),
                resets_at=moment(parts.get("reset", ""), now),
            )
        elif family == "codex":
            yield from _of_codex(name, parts, now)


def _of_codex(name: str, parts: dict[str, str], now: float) -> Iterator[Window]:
    percent, minutes = number(parts.get("used-percent", "")), number(parts.get("window-minutes", ""))
    reset = moment(parts.get("reset-at", "") or parts.get("resets-at", ""), now)
    after = number(parts.get("reset-after-seconds", ""))
    if reset is None and after:
        reset = ahead(now + after, now)
    if minutes == 0.0 or (percent is None and reset is None):
        return  # Plans without a second window send zeros.
    if name in ("5h", "7d"):
        minutes = 300.0 if name == "5h" else 10_080.0
    if minutes is not None:
        name = "five_hour" if minutes <= 300 else "seven_day" if minutes >= 10_080 else name
    yield Window(name, utilization=None if percent is None else percent / 100, resets_at=reset)


def _retry_after(plain: dict[str, str], now: float) -> float | None:
    """Seconds from `retry-after-ms`, `retry-after` as seconds or as an HTTP date; None when neither can be read."""
    milliseconds = number(plain.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST)
    text = plain.get("retry-after", "")
    seconds = number(text)
    if seconds is None and (at := http_date(text)) is not None and at > now:
        seconds = at - now
    return None if seconds is None else min(seconds, LONGEST)
