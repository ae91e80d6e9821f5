"""What is old goes, and what is too much: in short steps in the store's thread, so that nobody waits for it.

A step deletes so many rows as fit into a few milliseconds, learnt from the steps before it; then others have their
turn. Pages that SQLite does not need any more go back to the disk the same way. Every file of ours can give pages back
(`auto_vacuum=INCREMENTAL` is set before its first table), so none has ever to be rebuilt.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, select, text

from codemie_core.store import tables
from codemie_core.store.keeping import Keeping

if TYPE_CHECKING:
    from sqlalchemy import Table

INTERVAL = 3600.0
"""Seconds between two rounds."""
PAUSE = 0.1
"""Seconds between two steps of a round."""
AIM = 0.003
"""Seconds that a step may take before it is committed, which takes about twice as long again."""
FEWEST, MOST = 10, 200
"""Rows of a step."""
SLACK = 256
"""Free pages that stay with the file: the next rows need them."""
BYTES_PER_TURN = 2048
"""What a turn takes with everything about it, for a database that does not tell what it has free."""

_SIZE = (
    "select coalesce(sum(n_live_tup), 0) from pg_stat_user_tables "
    "where schemaname = current_schema() and relname = 'requests'"
)


class Sweeper:
    """A chore of the store's thread. `keeping` may be another one at any time."""

    def __init__(self, keeping: Keeping, clock: Callable[[], float] = time.time) -> None:
        self.keeping = keeping
        self.deleted = 0
        """Turns and payloads, since the start."""
        self.payloads = 0
        """Payloads among them; those that go with their turn are not counted."""
        self._clock = clock
        self._rows = FEWEST * 5
        self._surplus: int | None = None
        """Turns to delete in this round, where the size is only known now and then."""

    def __call__(self, connection: Connection) -> float:
        """One step. Seconds until the next."""
        begun = time.perf_counter()
        gone = self._delete(connection)
        if gone:
            took = time.perf_counter() - begun
            self.deleted += gone
            self._rows = max(FEWEST, min(MOST, int(self._rows * min(2.0, AIM / max(took, 1e-6)))))
            return PAUSE
        if connection.dialect.name == "sqlite" and give_back(connection, begun + AIM):
            return PAUSE
        self._surplus = None
        # Proxies of one home that began together need not all look at the same moment.
        return INTERVAL * random.uniform(0.9, 1.1)

    def _delete(self, connection: Connection) -> int:
        now, keeping = self._clock(), self.keeping
        turns, payloads = tables.requests, tables.payloads
        if keeping.payload_seconds and (gone := self._oldest(connection, payloads, now - keeping.payload_seconds)):
            return gone
        if keeping.seconds and (gone := self._oldest(connection, turns, now - keeping.seconds)):
            return gone
        if not keeping.bytes:
            return 0
        if connection.dialect.name == "sqlite":
            if _used(connection) > keeping.bytes:
                return self._oldest(connection, payloads, most=FEWEST) or self._oldest(connection, turns)
            return 0
        return self._surplus_of_server(connection)

    def _surplus_of_server(self, connection: Connection) -> int:
        """PostgreSQL keeps the room of what is deleted, so its size says nothing: turns are counted instead."""
        if self._surplus is None:
            sealed = func.coalesce(func.sum(func.octet_length(tables.payloads.c.sealed)), 0)
            payloads = int(connection.execute(select(sealed)).scalar_one())
            turns = int(connection.execute(text(_SIZE)).scalar_one())
            if payloads and payloads + turns * BYTES_PER_TURN > self.keeping.bytes:
                return self._oldest(connection, tables.payloads, most=FEWEST)
            self._surplus = max(0, turns - self.keeping.bytes // BYTES_PER_TURN)
        gone = self._oldest(connection, tables.requests, most=self._surplus) if self._surplus else 0
        self._surplus -= gone
        return gone

    def _oldest(self, connection: Connection, table: Table, before: float | None = None, most: int = MOST) -> int:
        """Delete some: those from before that time, else whatever is oldest. How many."""
        key, at = (table.c.id, table.c.started_ms) if table is tables.requests else (table.c.request_id, table.c.at_ms)
        query = select(key).order_by(at, key).limit(min(self._rows, most))
        if before is not None:
            query = query.where(at < int(before * 1000))
        gone = connection.execute(delete(table).where(key.in_(query.scalar_subquery()))).rowcount
        if table is tables.payloads:
            self.payloads += gone
        return gone


def _used(connection: Connection) -> int:
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def give_back(connection: Connection, until: float, slack: int = SLACK) -> bool:
    """Let SQLite's file become smaller until that `perf_counter`. Is there more to give back?"""
    free = _free(connection)
    given = 0
    # At least one, however late it is already.
    while given < free - slack and (not given or time.perf_counter() < until):
        # One by one: from Python 3.13 on the driver stops after the first page, however many are asked for.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        given += 1
    return given > 0 and slack < _free(connection) < free


def _free(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
