"""Looks into ended turns in a thread of its own, so that no client ever waits for the counting.

Turns are taken in the order in which they ended. What a turn holds on to (its request, its answer) is let go with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from codemie_core.usage.record import Record
from codemie_core.usage.turn import Turn

logger = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds in which turns gather: one wake-up for all of them."""
BUSY, BUSY_PAUSE = 8, 0.5
"""From so many turns in one go, the next ones gather longer: going back and forth between threads costs as much as the
counting."""
MOST_HELD = 256 * 1024 * 1024
"""Bytes of requests in the queue; beyond it turns are counted without what their request would tell."""

MOST_AT_ONCE = 64
"""Turns whose records are delivered together."""

type Keep = Callable[[Turn], Record]
type Deliver = Callable[[list[Record]], None]


class Clerk:
    """`put` turns between `start` and `stop`. `keep` makes a record, `deliver` gets some; `begin` is called first.

    All three are called in the thread.
    """

    def __init__(self, keep: Keep, deliver: Deliver, begin: Callable[[], None] = lambda: None) -> None:
        self.done = self.failed = self.unread = 0
        """Turns recorded; lost to an error of ours; recorded without their request."""
        self._keep, self._deliver, self._begin = keep, deliver, begin
        self._queue: deque[Turn] = deque()
        self._came = self._went = 0
        self._idle = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metering", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, turn: Turn) -> None:
        """Take this turn. Never waits, never raises."""
        held = len(turn.request)
        if self._came - self._went + held > MOST_HELD:
            turn.request = b""
            self.unread += 1
        # Two counters, each with one owner: adding and subtracting in two threads would lose counts.
        self._came += len(turn.request)
        self._queue.append(turn)
        if self._idle:
            self._idle = False
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Turns not yet recorded."""
        return len(self._queue)

    def drain(self, within: float) -> bool:
        """Wait until all turns are recorded; False when `within` seconds were too short. Blocks."""
        deadline = time.monotonic() + within
        self._hurry.set()
        self._wake.set()
        while self._queue and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        return not self._queue

    def stop(self, within: float) -> bool:
        """Record what is there and end; False when `within` seconds were too short. Blocks."""
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._begin()
        except Exception as error:  # Turns can be counted without.
            logger.warning("Counting begins without preparation: %s", type(error).__name__)
        count = 0
        while not self._closing.is_set():
            self._idle = True
            if not self._queue:
                self._wake.wait()
            self._idle = False
            self._wake.clear()
            self._hurry.wait(PAUSE if count < BUSY else BUSY_PAUSE)
            self._hurry.clear()
            count = self._work()
        self._work()

    def _work(self) -> int:
        """How many there were."""
        before = self.done
        while turns := list(islice(self._queue, MOST_AT_ONCE)):
            made = [record for turn in turns if (record := self._kept(turn)) is not None]
            try:
                self._deliver(made)
            except Exception as error:  # They are stored; and the loop may have ended.
                logger.error("Nobody was told of %d turns: %s", len(made), type(error).__name__)
            # Only now: whoever drains must find them in the queue until they are delivered.
            for turn in turns:
                self._went += len(turn.request)
                self._queue.popleft()
        return self.done - before

    def _kept(self, turn: Turn) -> Record | None:
        try:
            record = self._keep(turn)
        except Exception as error:  # An error of ours costs this turn, not those behind it.
            self.failed += 1
            if self.failed == 1:
                logger.error("A turn was not counted: %s. Further ones only count as failed.", type(error).__name__)
            return None
        self.done += 1
        return record
