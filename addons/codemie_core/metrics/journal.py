"""A session's metrics file: appended to by several programs that know of no lock, and never rewritten by us.

CodeMie's hooks append to it whenever they like, so a rewrite by rename would lose their records. A record is marked as
sent in place, byte for byte as long as before: "pending" becomes "synced" and a blank. What we append is one write(2)
with O_APPEND. Everything here blocks: call it off the event loop.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codemie_core.metrics.delta import SYNCED, Delta, parse_delta
from codemie_core.metrics.plain_file import open_plain, read_plain

_MARK = re.compile(rb'"syncStatus"\s*:\s*"(pending|failed|syncing)"')
# Somebody would have to tear a line, or replace the file, in each of so many moments.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A readable line: where it begins, its bytes without the line's end, and the record in it."""

    offset: int
    raw: bytes
    delta: Delta


@dataclass(frozen=True, slots=True)
class Reading:
    """The file at one moment, in its own order."""

    entries: tuple[Entry, ...] = ()
    damaged: int = 0
    """Lines that are no record; they stay where they are."""
    unfinished: bool = False
    """The last line has no end and is no record: somebody is writing it, or died over it."""

    @property
    def pending(self) -> tuple[Entry, ...]:
        """What is to be sent: each record once, and none that a copy of it says has been sent."""
        sent = {entry.delta.record_id for entry in self.entries if entry.delta.sync_status == SYNCED}
        waiting: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.delta.wants_sync and entry.delta.record_id not in sent:
                waiting.setdefault(entry.delta.record_id, entry)
        return tuple(waiting.values())


class Journal:
    """One file. Holds nothing open and remembers nothing between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, delta: Delta) -> None:
        """Add a record; it is there, on a line of its own, when this returns. OSError when it cannot be.

        After an error the same record may be appended again: read twice, it counts once.
        """
        line = delta.line()
        for _ in range(_TRIES):
            if self._append_once(line):
                return
        raise OSError(errno.EIO, "somebody else keeps breaking its last line", str(self.path))

    def read(self) -> Reading:
        """All readable records; a file that is not there has none. OSError when it cannot be read."""
        try:
            data = read_plain(self.path)
        except FileNotFoundError:
            return Reading()
        return _parse(data)

    def mark_synced(self, record_ids: Iterable[str]) -> frozenset[str]:
        """Mark every line of these records as sent, in place; which of them now bear the mark.

        The others are not here, or not markable: written by somebody who spells the field in a way of their own.
        """
        wanted = frozenset(record_ids)
        marked: frozenset[str] = frozenset()
        for _ in range(_TRIES):
            try:
                descriptor = open_plain(self.path, os.O_RDWR)
            except FileNotFoundError:
                return marked
            try:
                marked = _mark(descriptor, wanted)
                if not self._replaced(descriptor):
                    return marked
            finally:
                os.close(descriptor)
        return marked

    def _append_once(self, line: bytes) -> bool:
        """Write it; False when somebody's torn line got in between and swallowed it, or the file was replaced."""
        descriptor = open_plain(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            # Whoever died in the middle of a line must not take ours along.
            broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = b"\n" + line if broken else line
            if os.write(descriptor, data) != len(data):
                # What is there of it is a torn line now, which the next append ends.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            start = os.lseek(descriptor, 0, os.SEEK_CUR) - len(data)
            alone = broken or start == 0 or os.pread(descriptor, 1, start - 1) == b"\n"
            return alone and not self._replaced(descriptor)
        finally:
            os.close(descriptor)

    def _replaced(self, descriptor: int) -> bool:
        """Has CodeMie's CLI put a rewritten file in this one's place? A file that was only renamed is still it."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def _parse(data: bytes) -> Reading:
    entries, damaged, unfinished = [], 0, False
    for offset, raw in _lines(data):
        if not raw.strip():
            continue
        delta = parse_delta(raw)
        if delta is not None:
            entries.append(Entry(offset, raw, delta))
        elif offset + len(raw) < len(data):
            damaged += 1
        else:
            unfinished = True
    return Reading(tuple(entries), damaged, unfinished)


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line's place and bytes. Only a line feed ends one: JSON may hold the other line ends of Unicode."""
    offset = 0
    for raw in data.split(b"\n"):
        yield offset, raw
        offset += len(raw) + 1


def _mark(descriptor: int, wanted: frozenset[str]) -> frozenset[str]:
    found, unmarked = set(), set()
    for offset, raw in _lines(os.pread(descriptor, os.fstat(descriptor).st_size, 0)):
        # Far cheaper than making a Delta of every line of a long session.
        record = _object(raw)
        record_id = record.get("recordId")
        if not isinstance(record_id, str) or record_id not in wanted:
            continue
        found.add(record_id)
        if record.get("syncStatus") != SYNCED and not _mark_line(descriptor, offset, raw):
            unmarked.add(record_id)
    return frozenset(found - unmarked)


def _mark_line(descriptor: int, offset: int, raw: bytes) -> bool:
    mark = _mark_of(raw)
    if mark is None:
        return False
    start, word = mark
    marked = raw[:start] + word + raw[start + len(word) :]
    # Another process of ours may have been quicker, and foreign hands may have done anything since it was read.
    now = os.pread(descriptor, len(raw), offset)
    if now != raw:
        return now == marked
    return os.pwrite(descriptor, word, offset + start) == len(word)


def _mark_of(raw: bytes) -> tuple[int, bytes] | None:
    """Where in the line which bytes go, so that the record says "synced" and nothing else in it changes."""
    wanted = {**_object(raw), "syncStatus": SYNCED}
    for match in _MARK.finditer(raw):
        start, end = match.start(1), match.end(1) + 1
        word = f'{SYNCED}"'.encode().ljust(end - start)
        # The words may also stand in an object inside the record: reading what would come of it tells.
        if _object(raw[:start] + word + raw[end:]) == wanted:
            return start, word
    return None


def _object(raw: bytes) -> dict[str, object]:
    """The JSON object on a line; empty for anything else."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
