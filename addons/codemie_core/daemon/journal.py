"""What the daemon prints: proxy/daemon.log, and daemon.log.1 for what was there before it grew too large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from codemie_core.errors import SettingsError
from codemie_core.places import Places

LARGEST = 2 * 1024 * 1024
"""Bytes at which a file gives way to the next."""
_LAST = 64 * 1024
"""Bytes that `since` tells at most."""


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
        """A descriptor that appends; 0600. The file of an earlier daemon goes on. SettingsError when that fails."""
        self._places.ensure_private(self._places.proxy)
        try:
            return os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as problem:
            raise SettingsError(
                f"{self.file} cannot be written ({problem.strerror}); move it away, make room, or set CODEMIE_HOME "
                "to a folder that can be written"
            ) from None

    def bound(self) -> None:
        """Move what is there into the older file once it is too large. What is printed in that moment is lost.

        SettingsError when there is no room for it; then it is lost, too, which makes some.
        """
        size = self.size()
        if size <= self._largest:
            return
        try:
            kept = self._bytes(self.file, size - self._largest, size)
            # A line that is cut at its beginning is nobody's.
            self._places.write_private(self.older, kept.partition(b"\n")[2] or kept)
        finally:
            os.truncate(self.file, 0)

    def size(self) -> int:
        """Bytes in the newer one."""
        return self._size_of(self.file)

    def since(self, position: int) -> str:
        """What was printed after the file had that size, as far as it is not too much."""
        size = self.size()
        # It was emptied in between.
        begin = 0 if position > size else position
        text = self._bytes(self.file, max(begin, size - _LAST), size).decode("utf-8", "replace")
        return text.partition("\n")[2] if size - begin > _LAST else text

    def last(self, lines: int, until: int | None = None) -> list[str]:
        """The newest so many lines of both files, up to that size of the newer one."""
        if not lines:
            return []
        found = self._lines(self.file, self.size() if until is None else until)
        if len(found) < lines:
            found = [*self._lines(self.older, self._size_of(self.older)), *found]
        return found[-lines:]

    def follow(self, position: int) -> Iterator[str]:
        """What comes after that size: whole lines, or "", each time it is asked. What stays half a line comes, too."""
        rest = b""
        while True:
            size = self.size()
            if size < position:
                position, rest = 0, b""
            came = self._bytes(self.file, position, size)
            position += len(came)
            lines, end, after = (rest + came).rpartition(b"\n")
            said, rest = (lines + end, after) if came else (rest, b"")
            yield said.decode("utf-8", "replace")

    def _lines(self, path: Path, until: int) -> list[str]:
        return self._bytes(path, 0, until).decode("utf-8", "replace").splitlines()

    def _size_of(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def _bytes(self, path: Path, begin: int, end: int) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(begin)
                return file.read(max(0, end - begin))
        except OSError:
            return b""
