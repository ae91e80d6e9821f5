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
from itertools import islice
from typing import TYPE_CHECKING, Any

from codemie_core.store.database import revision_of
from codemie_core.store.place import DatabaseTrouble

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
PATIENCE = 1.0
"""Seconds that posted work waits for another process that writes: those who call wait behind it."""
LARGEST_BATCH = 1_000
"""Posted works in one transaction: other processes wait for its end."""

CHORE_PAUSE = 3600.0
"""Seconds before a chore that failed by itself is tried again."""
CHORE_PATIENCE = 0.01
"""Seconds that a chore waits for another process that writes: it has time."""

type Work[Result] = Callable[[Connection], Result]
type Chore = Callable[[Connection], float]
"""A short step of something that has time. It returns the seconds until its next one."""


class StoreWorker:
    """Begins at once; ends with `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = threading.Condition()
        self._calls: deque[tuple[Work[Any], bool, Future[Any]]] = deque()
        self._posted: deque[tuple[Work[object], Callable[[], None] | None]] = deque()
        self._on_revision: Callable[[int], None] | None = None
        self._chores: dict[Chore, float] = {}
        self._revision = 0
        self._closing = self._given_up = self._ended = False
        self._poll_at = self._flush_at = 0.0
        self.trouble = ""
        """Why the database cannot be used; "" when it can."""
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    @property
    def keeps(self) -> bool:
        """Is anything stored? Not in a database that may only be read, nor after the end."""
        return not (self._database.read_only_because or self._ended)

    @property
    def waiting(self) -> int:
        """Posted works not yet done. Grows while the database is in trouble: collect in fewer, larger ones then."""
        return len(self._posted)

    async def call[Result](self, work: Work[Result], writing: bool = True) -> Result:
        """Do it now, in a transaction, and give back what it gives. It is done even when the caller is cancelled.

        What was posted before may come after it. DatabaseTrouble when the database cannot be used now.
        """
        future: Future[Result] = Future()
        with self._wake:
            if self._closing:
                raise DatabaseTrouble("the proxy is ending: the database is closed")
            self._calls.append((work, writing, future))
            self._wake.notify()
        return await asyncio.shield(asyncio.wrap_future(future))

    def post(self, work: Work[object], done: Callable[[], None] | None = None, at_once: bool = False) -> None:
        """Do it soon, together with others, and call `done` in this thread when it is stored for good.

        `at_once` is for more of what has just been stored: there is nothing to collect. What raises by itself is
        logged, dropped and done. It returns its revision. Nothing is kept for a database that may only be read, nor
        after the end.
        """
        with self._wake:
            if not self.keeps:
                return
            if not self._posted:
                self._flush_at = time.monotonic() + (0.0 if at_once else BATCH)
            self._posted.append((work, done))
            self._wake.notify()

    def on_revision(self, seen: int, callback: Callable[[int], None] | None) -> None:
        """Have `callback(seen)` called, in this thread, whenever another revision than the one it has seen is found.

        It looks itself for what has changed since. When it raises, that is trouble with the database, and it is called
        again. None ends it.
        """
        with self._wake:
            self._revision, self._on_revision = seen, callback
            self._wake.notify()

    def look(self) -> None:
        """Look for changes of others now, not within the next half second."""
        with self._wake:
            self._poll_at = 0.0
            self._wake.notify()

    def chore(self, chore: Chore, after: float | None) -> None:
        """Do a step of it in so many seconds, in a transaction of its own, and then as it says; None ends it.

        Where another process writes, it is tried again later; nobody is told.
        """
        with self._wake:
            if after is None or not self.keeps:
                self._chores.pop(chore, None)
            else:
                self._chores[chore] = time.monotonic() + after
            self._wake.notify()

    def close(self, timeout: float = 3.0) -> bool:
        """Do what is left, within so many seconds. Was all of it done? Blocks: not for the event loop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)
        with self._wake:
            self._given_up = True
        done = self._ended and not self._posted
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
            if (callback := self._on_revision) and now >= self._poll_at and not closing:
                self._look(callback)
            if self._chores and not closing:
                self._step()
            if closing:
                with self._wake:
                    if not self._calls and (not self._posted or self._given_up):
                        self._ended = True
                        return
                if self.trouble:
                    time.sleep(BATCH)

    def _due(self) -> bool:
        now = time.monotonic()
        posted = bool(self._posted) and now >= self._flush_at
        if self._calls or posted or (self._on_revision is not None and now >= self._poll_at):
            return True
        return bool(self._chores) and now >= min(self._chores.values())

    def _pause(self) -> float | None:
        times = [self._flush_at] if self._posted else []
        if self._on_revision:
            times.append(self._poll_at)
        times.extend(self._chores.values())
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _do(self, work: Work[Any], writing: bool, future: Future[Any]) -> None:
        try:
            with self._database.writing() if writing else self._database.reading() as connection:
                result = work(connection)
        except BaseException as error:  # Whoever waits gets it; this thread must go on.
            future.set_exception(error)
        else:
            future.set_result(result)

    def _flush(self) -> None:
        with self._wake:
            batch = list(islice(self._posted, LARGEST_BATCH))
        works = [work for work, _ in batch]
        try:
            self._transact(works)
            count = len(batch)
        except DatabaseTrouble as trouble:
            self._troubled(trouble)
            count = 0
        except Exception:
            count = self._one_by_one(works)
        with self._wake:
            for _ in range(count):
                self._posted.popleft()
        if count == len(batch):
            self._flush_at = time.monotonic() + BATCH
            self._well()
        else:
            self._flush_at = time.monotonic() + RETRY
        for _, done in batch[:count]:
            if done is not None:
                done()

    def _transact(self, batch: Sequence[Work[object]]) -> None:
        with self._database.writing(PATIENCE) as connection:
            made = [work(connection) for work in batch]
        for revision in made:
            # Nobody else has changed anything in between, and what we wrote ourselves need not be read.
            if revision == self._revision + 1:
                self._revision += 1

    def _one_by_one(self, batch: Sequence[Work[object]]) -> int:
        """One of them is at fault, not the database: the others are done without it. How many are dealt with."""
        for count, work in enumerate(batch):
            try:
                self._transact([work])
            except DatabaseTrouble as trouble:
                self._troubled(trouble)
                return count
            except Exception as error:
                logger.error("A change was not stored: %s", _first_line(error))
        return len(batch)

    def _look(self, callback: Callable[[int], None]) -> None:
        self._poll_at = time.monotonic() + POLL
        try:
            with self._database.reading() as connection:
                found = revision_of(connection)
            if found != self._revision:
                callback(self._revision)
                self._revision = found
        except Exception as error:  # A thread that ended here would save nothing any more.
            self._poll_at = time.monotonic() + RETRY
            self._troubled(error)
        else:
            # While something waits to be written, reading proves little: the disk may still be full.
            if not self._posted:
                self._well()

    def _step(self) -> None:
        """One step of the chore that is due first: between any two of them whoever calls has his turn."""
        chore, due = min(self._chores.items(), key=lambda item: item[1])
        if self._calls or time.monotonic() < due:
            return
        try:
            with self._database.writing(CHORE_PATIENCE) as connection:
                after = chore(connection)
        except DatabaseTrouble:
            after = RETRY
        except Exception as error:  # The thread has turns to store, whatever a chore meets.
            logger.error("What is old cannot be tidied up: %s", _first_line(error))
            after = CHORE_PAUSE
        with self._wake:
            if chore in self._chores:
                self._chores[chore] = time.monotonic() + after

    def _troubled(self, error: Exception) -> None:
        words = _first_line(error)
        if not self.trouble:
            logger.warning("Not stored for now, trying again: %s", words)
        self.trouble = words

    def _well(self) -> None:
        if self.trouble:
            logger.warning("The database %s can be used again", self._database.where)
            self.trouble = ""


def _first_line(error: Exception) -> str:
    return f"{error}".partition("\n")[0] or type(error).__name__
