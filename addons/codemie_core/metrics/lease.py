"""One sync at a time, however many proxies and commands share the home. It ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from codemie_core.places import Places

LOCK_NAME = "metrics_sync.lock"


class Lease:
    """A lock on a file that stays. Not for two threads of one process at once: each takes one of its own."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._descriptor: int | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._places.run / LOCK_NAME

    def take(self) -> bool:
        """Have it now, or not. Blocks for no longer than the disk. SettingsError when the file cannot be made."""
        if self._descriptor is not None:
            return False
        self._places.ensure_private(self._places.run)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(descriptor)
            if isinstance(problem, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back, if we have it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
