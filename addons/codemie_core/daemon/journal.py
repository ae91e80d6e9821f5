"""What the daemon prints: proxy/daemon.log, and daemon.log.1 for what was there before it grew too large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from codemie_core.places import Places

LARGEST = 2 * 1024 * 1024
"""Bytes at which a file gives way to the next."""
_LAST = 64 * 1024


class Journal:
    """The two files of one home. The proxy appends to the first by itself, so it is emptied, never replaced."""

    def __init__(self, places: Places, largest: int = LARGEST) -> None:
        self._places, self._largest = places, largest

    @property
    def file(self) -> Path:
        """The newer one."""
        return self._places.proxy / "daemon.log"

    @property
    def older(self) -> Path:
        """The other one."""
        return self._places.proxy / "daemon.log.1"

    def open(self) -> int:
        """A descriptor that appends; 0600. The file of an earlier daemon goes on."""
        self._places.ensure_private(self._places.proxy)
        return os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def bound(self) -> None:
        """Move what is there into the older file once it is too large. What is printed in that moment is lost."""
        if self.size() <= self._largest:
            return
        with self.file.open("rb") as file:
            file.seek(-self._largest, os.SEEK_END)
            kept = file.read(self._largest)
        self._places.write_private(self.older, kept)
        os.truncate(self.file, 0)

    def size(self) -> int:
        """Bytes in the newer one."""
        try:
            return self.file.stat().st_size
        except OSError:
            return 0

    def since(self, position: int) -> str:
        """What was printed after the file had that size, as far as it is not too much."""
        size = self.size()
        # It was emptied in between.
        return self._read(self.file, max(0 if position > size else position, size - _LAST))

    def last(self, lines: int) -> list[str]:
        """The newest so many lines."""
        found = self.since(0).splitlines()
        if len(found) < lines and self.size() <= _LAST:
            older = self._size_of(self.older)
            found = [*self._read(self.older, max(0, older - _LAST)).splitlines(), *found]
        return found[-lines:] if lines else []

    def follow(self, position: int) -> Iterator[str]:
        """What comes after that size: a text, perhaps empty, each time it is asked."""
        while True:
            size = self.size()
            if size < position:
                position = 0
            if size > position:
                start = max(position, size - _LAST)
                text = self._read(self.file, start, whole=False)
                position = size
                yield text
            else:
                yield ""

    def _size_of(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def _read(self, path: Path, start: int, whole: bool = True) -> str:
        try:
            with path.open("rb") as file:
                file.seek(start)
                text = file.read(_LAST).decode("utf-8", "replace")
        except OSError:
            return ""
        # A line that is cut at its beginning is nobody's.
        return text.partition("\n")[2] if whole and start and len(text) >= _LAST else text
