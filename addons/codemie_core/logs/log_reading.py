"""Reads the log's files back, record by record: the newest first, or as they are written.

A record is a line that begins with its time and its level, and the lines below it that do not. CodeMie's own tools
write records of the same form into the same files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
BLOCK = 256 * 1024
"""Bytes read at once, from the end of a file on."""
LONGEST_RECORD = 4 * 1024 * 1024
"""Bytes after which a record is told in parts: nobody knows what else writes here."""

_HEAD = re.compile(rb"^\[\d{4}-\d\d-\d\dT[\d:.]{8,15}Z\] \[([A-Z]{1,10})\] ", re.MULTILINE)


class Kept(NamedTuple):
    """One record. `level` is one of LEVELS; `text` has no line break at its end."""

    level: str
    text: str


class Place(NamedTuple):
    """A place in the log."""

    path: Path
    offset: int


def log_files(folder: Path) -> list[Path]:
    """The log's files, the oldest first."""
    return sorted(folder.glob("debug-????-??-??.log")) if folder.is_dir() else []


def newest_first(folder: Path, before: Place | None = None) -> Iterator[Kept]:
    """Every record of every file, written `before` that; of each file as much is read as is asked for."""
    for path in reversed(log_files(folder)):
        if before is None or path < before.path:
            with path.open("rb") as file:
                yield from _backwards(file, file.seek(0, os.SEEK_END))
        elif path == before.path:
            with path.open("rb") as file:
                yield from _backwards(file, before.offset)


class Follower:
    """Tells what is written from now on, in the newest file and in those that come after it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._rest = b""
        if files := log_files(folder):
            self._open(files[-1], at_end=True)

    @property
    def place(self) -> Place | None:
        """What stands before it is not told; None where there is no file yet."""
        return Place(self._path, self._file.tell()) if self._path and self._file else None

    def news(self) -> list[Kept]:
        """The records that came since the last call; the newest comes with the next call, it may not be whole yet."""
        found = self._read()
        files = log_files(self._folder)
        if files and (files[-1] != self._path or self._was_replaced()):
            found += self._flushed()
            self._open(files[-1], at_end=False)
            found += self._read()
        return found

    def close(self) -> None:
        """Read no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, path: Path, at_end: bool) -> None:
        self.close()
        self._path, self._file = path, path.open("rb")
        self._rest = b""
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _was_replaced(self) -> bool:
        if self._file is None or self._path is None:
            return False
        try:
            there = self._path.stat()
        except OSError:
            return False
        own = os.fstat(self._file.fileno())
        return (there.st_ino, there.st_dev) != (own.st_ino, own.st_dev) or there.st_size < self._file.tell()

    def _read(self) -> list[Kept]:
        if self._file is None:
            return []
        new = self._file.read()
        if not new:
            return self._flushed() if self._rest.endswith(b"\n") else []
        data = self._rest + new
        # The last one may go on: it is told when the next begins, or when nothing has come since.
        heads = [head.start() for head in _HEAD.finditer(data)]
        end = heads[-1] if heads and len(data) - heads[-1] < LONGEST_RECORD else 0
        if len(data) - end > LONGEST_RECORD:
            end = len(data)
        self._rest = data[end:]
        return list(_records(data[:end]))

    def _flushed(self) -> list[Kept]:
        rest, self._rest = self._rest, b""
        return list(_records(rest))


def _records(data: bytes) -> Iterator[Kept]:
    heads = list(_HEAD.finditer(data))
    begin = heads[0].start() if heads else len(data)
    if data[:begin].strip():
        yield _kept("INFO", data[:begin])
    for number, head in enumerate(heads, 1):
        end = heads[number].start() if number < len(heads) else len(data)
        yield _kept(head[1].decode(), data[head.start() : end])


def _backwards(file: IO[bytes], place: int) -> Iterator[Kept]:
    rest = b""
    while place:
        step = min(BLOCK, place)
        place -= step
        file.seek(place)
        rest = file.read(step) + rest
        heads = list(_HEAD.finditer(rest))
        # What stands at the very beginning of a block may be the end of a longer line.
        if place and heads and not heads[0].start():
            heads = heads[1:]
        end = len(rest)
        for head in reversed(heads):
            yield _kept(head[1].decode(), rest[head.start() : end])
            end = head.start()
        rest = rest[:end]
        if len(rest) > LONGEST_RECORD:
            yield _kept("INFO", rest)
            rest = b""
    if rest.strip():
        yield _kept("INFO", rest)


def _kept(level: str, data: bytes) -> Kept:
    known = level if level in LEVELS else {"WARNING": "WARN"}.get(level, "INFO")
    return Kept(known, data.decode("utf-8", "replace").rstrip("\r\n"))
