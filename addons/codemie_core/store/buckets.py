"""Buckets of time, as calendars have them: minutes, hours, quarters of a day, days, weeks from Monday, thirty days.

Days begin at midnight of the time zone that is asked for, also on days of 23 or 25 hours. An hour is always an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

type Size = Literal["1m", "5m", "1h", "6h", "24h", "7d", "30d"]

SIZES: tuple[Size, ...] = ("1m", "5m", "1h", "6h", "24h", "7d", "30d")
MOST = 1_000
"""Buckets in one series."""
_MINUTE_MS = 60_000
_MINUTES: Mapping[str, int] = {"1m": 1, "5m": 5, "1h": 60}
# Day 1 of the calendar, 0001-01-01, was a Monday.
_DAYS: Mapping[str, int] = {"24h": 1, "7d": 7, "30d": 30}


class TooManyBuckets(ValueError):
    """The time asked for has more of them than anybody can look at."""


def edges(size: Size, since_ms: int, until_ms: int, zone: tzinfo | None = None) -> list[int]:
    """Where buckets begin, and at the end where the last one ends: together they hold [since_ms, until_ms).

    `zone` None is that of this machine. TooManyBuckets when they are more than `MOST`.
    """
    found: list[int] = []
    for edge in _from(size, since_ms, zone):
        found.append(edge)
        if edge >= until_ms and len(found) > 1:
            return found
        if len(found) > MOST:
            raise TooManyBuckets(f"more than {MOST} buckets of {size}")
    raise AssertionError("time does not end")


def _from(size: Size, since_ms: int, zone: tzinfo | None) -> Iterator[int]:
    begun = datetime.fromtimestamp(since_ms / 1000, zone)
    if minutes := _MINUTES.get(size):
        edge = _ms(begun.replace(minute=begun.minute // minutes * minutes, second=0, microsecond=0))
        while True:
            yield edge
            edge += minutes * _MINUTE_MS
    if size == "6h":
        day, quarter = begun.date(), begun.hour // 6
        while True:
            yield _ms(datetime(day.year, day.month, day.day, quarter * 6, tzinfo=zone))
            day, quarter = (day, quarter + 1) if quarter < 3 else (day + timedelta(days=1), 0)
    days = _DAYS[size]
    number = begun.toordinal() - (begun.toordinal() - 1) % days
    while True:
        day = date.fromordinal(number)
        yield _ms(datetime(day.year, day.month, day.day, tzinfo=zone))
        number += days


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
