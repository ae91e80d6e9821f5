"""What the proxy said last, and what it says now: its own words and one line per request, redacted, bounded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple, TypedDict

from codemie_core.admin.broadcast import Broadcast, Subscription
from codemie_core.logs.log_record import Said
from codemie_core.logs.log_tap import LogTap
from codemie_core.logs.log_text import free

ENTRIES = 1000
LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}


class LogEntry(TypedDict):
    """`ts` in milliseconds since the epoch; `level` DEBUG, INFO, WARN or ERROR; `logger` who said it."""

    ts: int
    level: str
    msg: str
    logger: str


class _Kept(NamedTuple):
    at: float
    level: int
    source: str
    text: str


class LogRing:
    """`install` it and it listens to Python's logging; words come in from any thread."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._kept: deque[_Kept | LogEntry] = deque(maxlen=entries)
        self._lock = Lock()
        self._heard: Broadcast[LogEntry] = Broadcast()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tap = LogTap(self._said, but_not=frozenset({"codemie_core.console"}))

    def install(self) -> None:
        """Listen from now on."""
        self._tap.install()

    def uninstall(self) -> None:
        """Listen no more, and let those who listen here go."""
        self._tap.uninstall()
        self._heard.close()

    @property
    def subscribers(self) -> int:
        """How many listen."""
        return self._heard.subscribers

    def history(self) -> list[LogEntry]:
        """The newest entries, oldest first."""
        with self._lock:
            # What nobody reads is never redacted; what is, only once.
            entries = [_entry(kept) for kept in self._kept]
            self._kept.clear()
            self._kept.extend(entries)
        return entries

    def subscribe(self) -> Subscription[LogEntry]:
        """Listen from now on. TooMany when all places are taken."""
        self._loop = asyncio.get_running_loop()
        return self._heard.subscribe()

    def add(self, at: float, level: int, source: str, text: str) -> None:
        """Take this; `at` in seconds since the epoch, `level` as logging numbers it. Never waits, never raises."""
        kept = _Kept(at, level, source, text)
        with self._lock:
            self._kept.append(kept)
        if self._heard.wanted and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, kept)

    def _said(self, said: Said) -> None:
        self.add(said.at, said.level, said.source, said.text)

    def _tell(self, kept: _Kept) -> None:
        self._heard.publish(_entry(kept))


def _entry(kept: _Kept | LogEntry) -> LogEntry:
    if not isinstance(kept, _Kept):
        return kept
    level = LEVELS[max(known for known in LEVELS if known <= max(kept.level, logging.DEBUG))]
    return LogEntry(ts=round(kept.at * 1000), level=level, msg=free(kept.text), logger=free(kept.source))


def matching(level: str, search: str) -> Callable[[LogEntry], bool]:
    """Which entries are at least as serious as `level`, and hold `search` in any case; "" asks for neither."""
    order = list(LEVELS.values())
    least, needle = order.index(level) if level else 0, search.casefold()

    def wanted(entry: LogEntry) -> bool:
        if order.index(entry["level"]) < least:
            return False
        return needle in entry["msg"].casefold() or needle in entry["logger"].casefold()

    return wanted
