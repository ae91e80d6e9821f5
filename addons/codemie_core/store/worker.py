"""The one thread of a proxy that speaks to the database, so that nothing on the event loop ever waits for it.

Work that is waited for (`call`) runs at once in a transaction of its own. Work that is not (`post`) is collected for a
tenth of a second and done in one. A database that is locked or full costs one warning; what was posted is kept and
tried again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DatabaseError

from codemie_core.store.database import revision_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.database import Database

logger = logging.getLogger(__name__)

BATCH = 0.1
"""Seconds for which posted work is collected."""
POLL = 0.5
"""Seconds between two looks for changes of other processes."""
RETRY = 1.0
"""Seconds before a database that failed is tried again."""

type Work[Result] = Callable[[Connection], Result]


class StoreWorker:
    """Begins at once; ends with `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = threading.Condition()
        self._calls: deque[tuple[Work[Any], bool, Future[Any]]] = deque()
        self._posted: deque[Work[object]] = deque()
        self._on_revision: Callable[[int], None] | None = None
        self._revision = 0
        self._closing = self._given_up = False
        self._poll_at = self._flush_at = self._quiet_until = 0.0
        self.trouble = ""
        """Why the database cannot be used; "" when it can."""
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    async def call[Result](self, work: Work[Result], writing: bool = True) -> Result:
        """Do it now, in a transaction, and give back what it gives. It is done even when the caller is cancelled."""
        future: Future[Result] = Future()
        with self._wake:
            if self._closing:
                raise RuntimeError("the store is closed")
            self._calls.append((work, writing, future))
            self._wake.notify()
        return await asyncio.shield(asyncio.wrap_future(future))

    def post(self, work: Work[object]) -> None:
        """Do it soon, together with others. What raises for good is logged and dropped."""
        with self._wake:
            if not self._posted:
                self._flush_at = time.monotonic() + BATCH
            self._posted.append(work)
            self._wake.notify()

    def on_revision(self, seen: int, callback: Callable[[int], None]) -> None:
        """Have `callback(revision)` called, in this thread, whenever another revision than `seen` is found."""
        with self._wake:
            self._revision, self._on_revision = seen, callback
            self._wake.notify()

    def close(self, timeout: float = 3.0) -> bool:
        """Do what is left, within so many seconds. Was all of it done?"""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)
        self._given_up = True
        done = not self._thread.is_alive() and not self._posted
        if not done:
            logger.warning("The database did not take what was left within %g s: %s", timeout, self.trouble or "slow")
        return done

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._due() and not self._closing:
                    self._wake.wait(self._pause())
                calls, closing = [*self._calls], self._closing
                self._calls.clear()
            for work, writing, future in calls:
                self._do(work, writing, future)
            now = time.monotonic()
            if self._posted and (now >= self._flush_at or closing):
                self._flush()
            if self._on_revision and now >= self._poll_at:
                self._look(self._on_revision)
            if closing and not self._calls:
                if not self._posted or self._given_up:
                    return
                time.sleep(BATCH)

    def _due(self) -> bool:
        now = time.monotonic()
        return bool(self._calls) or (bool(self._posted) and now >= self._flush_at) or self._poll_due(now)

    def _poll_due(self, now: float) -> bool:
        return self._on_revision is not None and now >= self._poll_at

    def _pause(self) -> float | None:
        times = [self._flush_at] if self._posted else []
        if self._on_revision:
            times.append(self._poll_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _do(self, work: Work[Any], writing: bool, future: Future[Any]) -> None:
        try:
            with self._database.writing() if writing else self._database.reading() as connection:
                result = work(connection)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _flush(self) -> None:
        batch = list(self._posted)
        try:
            self._transact(batch)
        except DatabaseError as error:
            self._flush_at = time.monotonic() + RETRY
            self._troubled(error)
            return
        except Exception:
            self._one_by_one(batch)
        for _ in batch:
            self._posted.popleft()
        self._flush_at = time.monotonic() + BATCH
        self._well()

    def _transact(self, batch: Sequence[Work[object]]) -> None:
        with self._database.writing() as connection:
            for work in batch:
                work(connection)

    def _one_by_one(self, batch: Sequence[Work[object]]) -> None:
        """One of them is at fault, not the database: the others are done without it."""
        for work in batch:
            try:
                self._transact([work])
            except Exception as error:
                logger.error("A change was not stored: %s", type(error).__name__)

    def _look(self, callback: Callable[[int], None]) -> None:
        self._poll_at = time.monotonic() + POLL
        try:
            with self._database.reading() as connection:
                found = revision_of(connection)
            if found != self._revision:
                callback(found)
                self._revision = found
        except Exception as error:
            self._poll_at = time.monotonic() + RETRY
            self._troubled(error)
        else:
            self._well()

    def _troubled(self, error: Exception) -> None:
        words = str(getattr(error, "orig", "") or error).partition("\n")[0]
        if not self.trouble:
            logger.warning("The database %s cannot be used, trying again: %s", self._database.where, words)
        self.trouble = words or type(error).__name__

    def _well(self) -> None:
        if self.trouble:
            logger.warning("The database %s can be used again", self._database.where)
            self.trouble = ""
