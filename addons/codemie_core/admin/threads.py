"""A few threads for what may block. What hangs in one of them holds up neither the loop nor the end of the process.

Python's own executors wait at the end of the process for all that runs in them, however they were shut down.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

type _Task = tuple[Callable[[], Any], asyncio.Future[Any]]


class Threads:
    """Begun when there is something to do. Belongs to one event loop at a time."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._running = self._busy = 0

    def run[T](self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `work` returns or raises. Cancelled before its turn comes, it is not done at all."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._busy += 1
        future.add_done_callback(self._over)
        self._tasks.put((work, future))
        if self._running < min(self._busy, self._most):
            self._running += 1
            threading.Thread(target=_run, args=(self._tasks,), name=self._name, daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what they are at; whatever waits is cancelled."""
        # A queue of their own for those that come after: what hangs now must not take what is meant for them.
        tasks, self._tasks = self._tasks, SimpleQueue()
        while not tasks.empty():
            task = tasks.get()
            if task is not None:
                task[1].cancel()
        for _ in range(self._running):
            tasks.put(None)
        self._running = 0

    def _over(self, _: asyncio.Future[Any]) -> None:
        self._busy -= 1


def _run(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        work, future = task
        if future.cancelled():
            continue
        tell: Callable[[asyncio.Future[Any], Any], None] = _succeed
        try:
            result = work()
        except BaseException as error:  # Also SystemExit: whoever asked is told, and the thread goes on.
            tell, result = _fail, error
        with contextlib.suppress(RuntimeError):  # The loop has ended: nobody waits any more.
            future.get_loop().call_soon_threadsafe(tell, future, result)
        del task, work, future, result


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
