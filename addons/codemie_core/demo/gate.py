"""A gate between the events of a stream: order by permits instead of by sleeps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Gate:
    """Lets one waiting answer pass per permit, first come, first served.

    Use it on the upstream's event loop (from another thread through `UpstreamThread.call`).
    `changed` is called when somebody begins to wait.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._permits = 0
        self._open = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many answers stand before the gate now."""
        return sum(not waiter.done() for waiter in self._waiters)

    def release(self, n: int = 1) -> None:
        """Give `n` permits; those that nobody waits for are kept."""
        self._permits += n
        self._admit()

    def open(self) -> None:
        """Let everybody pass from now on."""
        self._open = True
        self._admit()

    async def passed(self) -> None:
        """Wait for a permit and use it up."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._admit()
        self._changed()
        await waiter

    def _admit(self) -> None:
        while self._waiters and (self._open or self._permits):
            waiter = self._waiters.popleft()
            if waiter.done():  # its answer was cancelled; the permit is for the next one
                continue
            if not self._open:
                self._permits -= 1
            waiter.set_result(None)

    def __repr__(self) -> str:
        return f"<Gate({'open' if self._open else self._permits}, {self.waiting} waiting)>"
