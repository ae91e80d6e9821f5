"""Writes down what model turns add to their sessions, in a thread and in the order in which they came.

A disk that is full costs one warning and no record: they are kept and tried again. Of a session that CodeMie's own CLI
has made nothing is written, and nothing of a conversation that such a session is about: its hooks count the same turns.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from codemie_core.errors import SettingsError
from codemie_core.metrics.derive import deltas_of
from codemie_core.metrics.session import ACTIVE, new_session
from codemie_core.metrics.session_files import SessionFiles
from codemie_core.redact import redact_text
from codemie_core.usage.record import Record

logger = logging.getLogger(__name__)

MOST = 10_000
"""Records that wait for a disk that takes nothing; beyond that the newest are lost, and counted."""
LOOK = 60.0
"""Seconds for which it is remembered which conversations CodeMie's CLI counts."""
LOOK_AGAIN = 2.0
"""The same where a conversation is new here."""
RETRY = 5.0
"""Seconds until a disk that took nothing is tried again."""


class Recorder:
    """`provider` is the profile's. Begins with the first record; `drain` ends it."""

    def __init__(
        self,
        files: SessionFiles,
        provider: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._provider, self._sleep = files, provider, sleep
        self._waiting: deque[Record] = deque()
        self._task: asyncio.Task[None] | None = None
        self._opened: set[str] = set()
        self._clock = clock
        self._theirs: frozenset[str] = frozenset()
        """Conversations that CodeMie's CLI counts."""
        self._looked_at = -math.inf
        self._writing = threading.Lock()
        self.written = 0
        """Deltas."""
        self.theirs = 0
        """Turns of sessions that CodeMie's CLI counts itself."""
        self.lost = 0
        self.trouble = ""
        """Why nothing can be written; "" when it can."""

    @property
    def waiting(self) -> int:
        """Turns not yet written."""
        return len(self._waiting)

    def put(self, record: Record) -> None:
        """Have it written soon. Called on the loop."""
        if len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting.append(record)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def drain(self) -> None:
        """Write what waits, once more if need be."""
        task, self._task = self._task, None
        if task is not None and self.trouble:
            task.cancel()
        elif task is not None:
            await asyncio.wait({task})
        if self._waiting:
            await asyncio.to_thread(self._write_some)

    async def close(self, at_ms: int) -> None:
        """Say of the sessions of this process that they have ended."""
        await asyncio.to_thread(self._close, at_ms)

    async def _write_all(self) -> None:
        while self._waiting:
            if not await asyncio.to_thread(self._write_some):
                await self._sleep(RETRY)

    def _write_some(self) -> bool:
        """In a thread. False when the disk took nothing more."""
        with self._writing:
            return self._write_some_alone()

    def _write_some_alone(self) -> bool:
        stuck: dict[str, str] = {}
        left: list[Record] = []
        while self._waiting:
            record = self._waiting[0]
            try:
                if record.session_id not in stuck:
                    self._write(record)
            except (OSError, SettingsError) as problem:
                # Of this session alone, perhaps: the others need not wait for it.
                stuck[record.session_id] = redact_text(str(problem))
            except Exception as error:  # An error of ours costs this turn, not those behind it.
                self.lost += 1
                logger.error("A turn is missing in the session metrics: %s", type(error).__name__)
            if record.session_id in stuck:
                left.append(record)
            self._waiting.popleft()
        self._waiting.extendleft(reversed(left))
        self._tell(next(iter(stuck.values()), ""))
        return not stuck

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            logger.warning("Session metrics cannot be written, trying again: %s", trouble)
        elif self.trouble and not trouble:
            logger.warning("Session metrics can be written again")
        self.trouble = trouble

    def _write(self, record: Record) -> None:
        """Written twice it still counts once: what its records are called depends on it alone."""
        deltas = deltas_of(record)
        if not deltas:
            return
        if self._counted_by_cli(record):
            self.theirs += 1
            return
        found = self._files.open(new_session(record, self._provider))
        if not found.ours:
            self.theirs += 1
            return
        self._opened.add(record.session_id)
        for delta in deltas:
            found.journal.append(delta)
        self.written += len(deltas)

    def _counted_by_cli(self, record: Record) -> bool:
        """It gives its sessions names of its own: only the conversation tells that one is about the same."""
        age = self._clock() - self._looked_at
        if age >= LOOK or (age >= LOOK_AGAIN and record.session_id not in self._opened):
            self._theirs, self._looked_at = self._files.conversations_of_others(), self._clock()
        return record.conversation_id in self._theirs

    def _close(self, at_ms: int) -> None:
        for session_id in self._opened:
            try:
                found = self._files.find(session_id)
                if found is not None:
                    self._files.close(found, status="completed", reason="proxy_stopped", at_ms=at_ms)
            except OSError as problem:
                # What is there can be sent all the same; the next start says that it ended.
                self.trouble = redact_text(str(problem))


def recover(files: SessionFiles, alive: Iterable[str]) -> int:
    """Say of sessions whose proxy has died that they have ended; how many there were. Blocks.

    `alive` are the run ids of the proxies that run.
    """
    recovered, running = 0, frozenset(alive)
    for found in files.all():
        session = found.session
        if session is None or not session.ours or session.status != ACTIVE or session.run_id in running:
            continue
        try:
            entries = found.journal.read().entries
        except OSError:
            continue  # Whoever writes to it says so.
        times = [at for entry in entries if (at := entry.delta.timestamp_ms) is not None]
        at_ms = max(times, default=int(session.start_time))
        recovered += files.close(found, status="recovered", reason="proxy_died", at_ms=at_ms)
    return recovered
