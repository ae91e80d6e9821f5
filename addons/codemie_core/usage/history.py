"""What stands between the metered turns and the database: a queue that nobody ever waits for.

Turns are stored by the store's thread, soon and in batches. While the database is locked, full or away they gather
here; none is dropped while memory lasts. Payloads are: they come second.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.keeping import Keeping
from codemie_core.store.place import LibraryMissing
from codemie_core.store.shared import SharedStore, take_store
from codemie_core.usage.packing import Packing
from codemie_core.usage.record import Record, ToolUse

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.payloads import Payload
    from codemie_core.store.retention import Sweeper

logger = logging.getLogger(__name__)

BATCH = 250
"""Turns stored at once: those who wait for the store's thread wait for one batch."""
MOST = 50_000
"""Turns that wait for a database in trouble, some 125 MB of memory."""
LONG = 2_048
"""Characters of arguments that may wait with a turn: they are not stored."""
RETRY = 2.0
"""Seconds before a database that cannot be opened is tried again."""
LAST = 0.2
"""Seconds for the store's thread to end, however little time is left."""
FIRST_SWEEP = 60.0
"""Seconds until it is first looked for what is old."""


class History:
    """`put` turns between `begin` and `end`. `keeping` of None keeps all for ever."""

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        keeping: Keeping | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stored = self.lost = self.refused = 0
        """Turns in the database; dropped because nothing took them; that no database takes."""
        self._places, self._environ, self._keeping, self._clock = places, environ, keeping, clock
        self._lock = threading.Lock()
        self._records: deque[Record] = deque()
        self._packing = Packing(places, environ, self._wake)
        self._posted = self._full = self._idle = False
        self._store: SharedStore | None = None
        self._sweeper: Sweeper | None = None
        self._trouble = ""
        self._taken = threading.Condition(self._lock)
        self._ending = threading.Event()
        self._opener = threading.Thread(target=self._open, name="history", daemon=True)

    def begin(self) -> None:
        """Open the database, in a thread; what is put meanwhile waits."""
        self._opener.start()

    def keep(self, keeping: Keeping) -> None:
        """From now on so much and so long."""
        self._keeping = keeping
        if self._sweeper is not None:
            self._sweeper.keeping = keeping

    def put(self, record: Record, payload: Payload | None = None) -> None:
        """Keep this turn. Never waits, never raises; may be called from any thread."""
        if self._idle:
            return
        if sum(len(use.call.arguments) for use in record.tools) > LONG:
            record = _without_arguments(record)
        with self._lock:
            if full := len(self._records) >= MOST:
                self.lost += 1
                told, self._full = self._full, True
            else:
                self._records.append(record)
                self._post()
        if full and not told:
            logger.warning("The history is losing turns: the database takes none, and %d wait for it", MOST)
        if payload is not None and not full:
            self._packing.put(record.id, payload)

    async def end(self, within: float = 3.0) -> bool:
        """Have all that was put stored, within so many seconds. Was it?"""
        return await asyncio.to_thread(self._end, within)

    def shown(self) -> Mapping[str, object]:
        """How it is, for /health."""
        told: dict[str, object] = {"stored": self.stored, "waiting": len(self._records), "lost": self.lost}
        if self.refused:
            told["refused"] = self.refused
        if self._packing.used:
            told |= {"payloads": self._packing.stored, "payloads_dropped": self._packing.dropped}
        if trouble := self.trouble:
            told["trouble"] = trouble
        return told

    @property
    def trouble(self) -> str:
        """Why nothing is stored now; "" when it is."""
        if (store := self._store) is None:
            return self._trouble
        return store.database.read_only_because or store.worker.trouble

    def _open(self) -> None:
        while not self._ending.is_set():
            try:
                store = take_store(self._places, self._environ)
                worker = store.worker
            except LibraryMissing as missing:
                logger.warning("No history is kept: %s", missing)
                self._trouble = str(missing)
                self._rest()
                return
            except Exception as problem:  # Whatever it was, the next try may go well: turns wait for it.
                self._troubled(f"{problem}" if isinstance(problem, SettingsError) else type(problem).__name__)
                self._ending.wait(RETRY)
                continue
            if self._trouble:
                logger.warning("The database %s can be used", store.database.where)
            if self._keeping is not None and store.database.writable:
                from codemie_core.store.retention import Sweeper

                self._sweeper = Sweeper(self._keeping, self._clock)
                worker.chore(self._sweeper, FIRST_SWEEP)
            if not store.database.writable:
                self._rest()
            with self._lock:
                self._store, self._trouble = store, ""
                self._post()
            return

    def _rest(self) -> None:
        """Nothing will be stored as long as this process runs."""
        with self._lock:
            self._idle = True
            self._records.clear()

    def _troubled(self, why: str) -> None:
        if not self._trouble:
            logger.warning("The history is not stored for now, trying again: %s", why)
        self._trouble = why

    def _wake(self) -> None:
        with self._lock:
            self._post()

    def _post(self) -> None:
        """Have the next batch stored, one at a time; called with the lock. In trouble that one waits, and no other."""
        if self._posted or self._store is None or not (self._records or self._packing.ready):
            return
        batch = _Batch(self)
        self._posted = True
        self._store.worker.post(batch.save, batch.done, at_once=len(self._records) >= BATCH or self._ending.is_set())

    def _end(self, within: float) -> bool:
        until = time.monotonic() + within
        self._ending.set()
        if self._opener.ident is not None:
            self._opener.join(within)
        self._packing.end(until - time.monotonic())
        with self._taken:
            if (store := self._store) is not None:
                left = not self._taken.wait_for(lambda: not self._posted, until - time.monotonic())
            else:
                left = bool(self._records)
            waiting = len(self._records)
        if left and waiting:
            logger.warning("%d turns are missing in the history: %s", waiting, self.trouble or "the end came too soon")
        if store is not None:
            if self._sweeper is not None:
                store.worker.chore(self._sweeper, None)
            self._store = None
            store.release(max(LAST, until - time.monotonic()))
        return not left


class _Batch:
    """Some turns and payloads, tried until they are stored. They stay in the queues until then."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._records: list[Record] = []
        self._payloads = 0
        self._refused = 0
        self._spoilt = False

    def save(self, connection: Connection) -> None:
        """In the store's thread, in its transaction; may be tried again."""
        from codemie_core.store.history import BAD, save_good_ones, save_records

        with self._history._lock:
            self._records = list(islice(self._history._records, BATCH))
        try:
            if self._spoilt:
                self._refused = save_good_ones(connection, self._records)
            else:
                save_records(connection, self._records)
        except BAD:
            # It is tried again at once, by itself. To guard each batch against this costs more than storing it.
            self._spoilt = True
            raise
        self._payloads = self._history._packing.save(connection)

    def done(self) -> None:
        """All of it is in the database."""
        history = self._history
        with history._taken:
            for _ in self._records:
                history._records.popleft()
            history.stored += len(self._records) - self._refused
            history.refused += self._refused
            history._full = history._full and len(history._records) > MOST // 2
            history._packing.taken(self._payloads)
            history._posted = False
            history._post()
            history._taken.notify_all()


def _without_arguments(record: Record) -> Record:
    return replace(record, tools=tuple(ToolUse(replace(use.call, arguments=""), use.files) for use in record.tools))
