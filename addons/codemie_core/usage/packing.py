"""Payloads on their way to the database: packed in a thread of their own, dropped where there are too many."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.places import Places
from codemie_core.vault import VaultError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.payloads import Packed, Payload

logger = logging.getLogger(__name__)

MOST_HELD = 32 * 1024 * 1024
"""Bytes of payloads that wait, unpacked and packed."""
BATCH = 50
"""Payloads stored at once."""


class Packing:
    """`put` payloads; `wake` is called when some are ready to be stored. Its thread begins with the first one."""

    def __init__(self, places: Places, environ: Mapping[str, str], wake: Callable[[], None]) -> None:
        self.used = False
        self.stored = self.dropped = 0
        self._door = VaultDoor(places, environ)
        self._wake = wake
        self._some = threading.Condition()
        self._plain: deque[tuple[str, Payload, int]] = deque()
        self._packed: deque[Packed] = deque()
        self._held = 0
        self._closing = False
        self._locked_out = ""
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Is something waiting to be stored?"""
        return bool(self._packed)

    def put(self, request_id: str, payload: Payload) -> None:
        """Keep it, if there is room."""
        size = payload.held
        with self._some:
            self.used = True
            if room := self._held + size <= MOST_HELD and not self._closing:
                self._held += size
                self._plain.append((request_id, payload, size))
                self._some.notify()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
                    self._thread.start()
        if not room:
            self._drop(1, "they come faster than they are stored")

    def save(self, connection: Connection) -> int:
        """Store some, in the store's thread; how many are dealt with once this transaction is."""
        batch = list(islice(self._packed, BATCH))
        if not batch:
            return 0
        from codemie_core.store.payloads import save_payloads

        try:
            save_payloads(connection, self._door.vault_for(connection, make=True), batch)
            self._locked_out = ""
        except VaultError as problem:
            self._locked_out = str(problem)
        return len(batch)

    def taken(self, count: int) -> None:
        """So many of what `save` was given are settled."""
        with self._some:
            for _ in range(count):
                self._held -= len(self._packed.popleft().packed)
        if self._locked_out:
            self._drop(count, self._locked_out)
        else:
            self.stored += count

    def end(self, within: float) -> None:
        """Pack what is there, within so many seconds. Blocks."""
        with self._some:
            self._closing = True
            self._some.notify()
        if self._thread is not None:
            self._thread.join(max(0.0, within))

    def _run(self) -> None:
        from codemie_core.store.payloads import pack

        while True:
            with self._some:
                while not self._plain and not self._closing:
                    self._some.wait()
                if not self._plain:
                    return
                request_id, payload, size = self._plain.popleft()
            packed = None
            try:
                packed = pack(request_id, payload)
            except Exception as error:  # A thread that ended here would pack nothing any more.
                self._drop(1, type(error).__name__)
            with self._some:
                self._held -= size
                if packed is not None:
                    self._held += len(packed.packed)
                    self._packed.append(packed)
            self._wake()

    def _drop(self, count: int, why: str) -> None:
        if not self.dropped:
            logger.warning("Payloads are dropped: %s. Turns are not, and further ones only count.", why)
        self.dropped += count
