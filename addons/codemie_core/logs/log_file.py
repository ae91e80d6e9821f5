"""The log's file of the day, `debug-YYYY-MM-DD.log`, which CodeMie's own tools write to as well.

Appended to (O_APPEND) with whole records per write, so that two processes never mix theirs. Days are UTC. The file is
made 0600, its folder 0700; what exists already keeps its mode. A record cut short by a full disk or a kill stays alone
on its line.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

from codemie_core.places import Places

DAY = 86400
"""Seconds. UTC has no other days."""

JUST_WRITING = 0.25
"""Seconds that a record of another process may take to be there whole."""

_NAME = re.compile(r"debug-\d{4}-\d\d-\d\d\.log")


def name_of(day: int) -> str:
    """The file's name; days are counted from the epoch."""
    return time.strftime("debug-%Y-%m-%d.log", time.gmtime(day * DAY))


class LogFile:
    """Belongs to one thread. `keep_days` 0 keeps every file."""

    def __init__(self, places: Places, keep_days: int, clock: Callable[[], float] = time.time) -> None:
        self.keep_days = keep_days
        self._places = places
        self._clock = clock
        self._day = -1
        self._descriptor = -1
        self._broken_line = False

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._places.logs

    def append(self, day: int, data: bytes) -> None:
        """Write whole records. OSError or SettingsError when they are not on the disk, or only in part."""
        if day != self._day or self._descriptor < 0 or self._is_gone():
            self.close()
            self._open(day)
        if self._broken_line:
            data = b"\n" + data
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # A full disk takes what still fits. Opened again, the file shows whether its last line is whole.
            self.close()
            raise
        self._broken_line = False

    def close(self) -> None:
        """Until the next `append`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_gone(self) -> bool:
        return os.fstat(self._descriptor).st_nlink == 0

    def _open(self, day: int) -> None:
        folder = self.folder
        if not folder.is_dir():
            self._places.ensure_private(folder)
        path = folder / name_of(day)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._broken_line = self._has_broken_line()
        if day != self._day:
            self._day = day
            self._prune(folder)

    def _has_broken_line(self) -> bool:
        """Was whoever wrote last killed in the middle of it, or the disk full?

        Another process that is just writing leaves the same sight, for a moment.
        """
        until = time.monotonic() + JUST_WRITING
        while broken := self._breaks_off():
            if time.monotonic() > until:
                break
            time.sleep(JUST_WRITING / 50)
        return broken

    def _breaks_off(self) -> bool:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return False
        return os.pread(self._descriptor, 1, status.st_size - 1) != b"\n"

    def _prune(self, folder: Path) -> None:
        """Delete logs of days long past, by their last change; nothing else in the folder."""
        if not self.keep_days:
            return
        oldest = self._clock() - self.keep_days * DAY
        for path in folder.iterdir():
            if not _NAME.fullmatch(path.name):
                continue
            try:
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_mtime < oldest:
                    path.unlink()
            except OSError:
                # CodeMie's own tools prune the same folder; who comes second has nothing to do.
                continue
