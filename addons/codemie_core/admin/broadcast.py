"""One speaker, many listeners, and nobody waits: who does not listen fast enough is let go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from codemie_core.admin.problems import Unavailable

MOST_LISTENERS = 64
MOST_WAITING = 256
"""Items that one listener may lag behind."""
TRY_AGAIN = 10
"""Seconds after which somebody who was turned away may come back."""

SLOW = "slow"
CLOSED = "closed"


class TooMany(Unavailable):
    """All places are taken."""

    title = "Too many listeners"


class Subscription[Item]:
    """What one listener has not heard yet: `async for item in subscription`, within `with`. In the loop's thread."""

    def __init__(self, leave: Callable[[Subscription[Item]], None], first: Iterable[Item] = ()) -> None:
        self.ended = ""
        """Why nothing comes any more: SLOW when it lagged behind, CLOSED when either side closed it; else ""."""
        self._leave = leave
        self._queue: deque[Item] = deque(first)
        self._wake = asyncio.Event()

    def put(self, item: Item) -> None:
        """Never waits, never raises."""
        if len(self._queue) >= MOST_WAITING:
            self.end(SLOW)
        elif not self.ended:
            self._queue.append(item)
            self._wake.set()

    def end(self, why: str) -> None:
        """Nothing comes any more. What was not heard by a listener who lags behind is forgotten: it would be a part."""
        if not self.ended:
            self.ended = why
            if why == SLOW:
                self._queue.clear()
            self._wake.set()
            self._leave(self)

    def close(self) -> None:
        """Listen no more. May be called twice."""
        self.end(CLOSED)

    async def take(self, within: float) -> list[Item] | None:
        """All that has come, waiting up to `within` seconds for the first; [] when there was none, None at the end."""
        if not self._queue and not self.ended:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), within)
            except TimeoutError:
                return []
        items = list(self._queue)
        self._queue.clear()
        return items if items or not self.ended else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._queue:
            if self.ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Broadcast[Item]:
    """Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: dict[Subscription[Item], None] = {}
        self._closed = False

    @property
    def subscribers(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def wanted(self) -> bool:
        """Does anybody listen? Asked before anything is made that nobody would hear."""
        return bool(self._listeners)

    def publish(self, item: Item) -> None:
        """Tell everybody. Never waits, never raises."""
        for listener in tuple(self._listeners):
            listener.put(item)

    def subscribe(self, first: Iterable[Item] = ()) -> Subscription[Item]:
        """Listen from now on, to `first` before anything else. TooMany when all places are taken."""
        if self._closed or len(self._listeners) >= MOST_LISTENERS:
            words = "The proxy is stopping" if self._closed else f"{MOST_LISTENERS} listen already; close some"
            raise TooMany(f"{words}, or try again in {TRY_AGAIN} seconds.", retryAfter=TRY_AGAIN)
        listener = Subscription(self._left, first)
        self._listeners[listener] = None
        return listener

    def close(self) -> None:
        """Nothing more is said: every listener comes to its end."""
        self._closed = True
        for listener in tuple(self._listeners):
            listener.close()

    def _left(self, listener: Subscription[Item]) -> None:
        self._listeners.pop(listener, None)
