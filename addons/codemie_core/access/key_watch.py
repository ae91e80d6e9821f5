"""What keys.json says, as a proxy that runs sees it: open or closed, and for whom.

The gate closes as soon as the file lists a key, revoked ones too, and then stays closed as long as the process lives:
a file that is lost or damaged must never let everybody in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from codemie_core.access.client_keys import KeyRing, read_ring
from codemie_core.errors import SettingsError
from codemie_core.file_signature import Signature, file_signature

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""

_UNREAD: Signature = (-1, -1, -1)
"""Unlike any file: it is read again at the next look."""


class KeyWatch:
    """`begin` once, then `look` as often as you like."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._next_look = 0.0
        self._seen = _UNREAD
        self.ring = KeyRing()
        self.closed = True
        """Must a client show a key? Until `begin` has looked: yes."""
        self.trouble = ""
        """Why nobody can be let in, whatever key he has; empty when the file is in order."""

    def begin(self) -> None:
        """Look for the first time. SettingsError when the file is there and cannot be used; the gate stays closed."""
        self._next_look = self._clock() + LOOK_EVERY
        try:
            self._seen = file_signature(self._path)
            self.ring = read_ring(self._path)
        except SettingsError as problem:
            self.trouble = str(problem)
            raise
        self.closed = len(self.ring) > 0

    def look(self) -> None:
        """Notice a change of the file; asks the system at most once a second."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        try:
            signature = file_signature(self._path)
            if signature != self._seen:
                # Noted before reading: a change while we read shows at the next look.
                self._seen = signature
                self._take(signature)
        except SettingsError as problem:
            self._seen = _UNREAD
            self._shut(str(problem))

    def _take(self, signature: Signature) -> None:
        if signature is None:
            if self.closed:
                self._shut(
                    f"{self._path} is gone: put it back, or restart the proxy to let everybody on this machine in"
                )
            return
        self.ring = read_ring(self._path)
        if self.trouble:
            logger.warning("%s is in order again: clients with a key are let in", self._path)
        self.trouble = ""
        if self.ring.keys and not self.closed:
            self.closed = True
            logger.warning("%s lists a key: from now on every client must show one", self._path)

    def _shut(self, trouble: str) -> None:
        if trouble != self.trouble:
            logger.error("Nobody is let in: %s", trouble)
        self.closed, self.trouble, self.ring = True, trouble, KeyRing()
