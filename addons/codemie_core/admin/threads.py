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
        self._crew = _Crew()

    def run[T](self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `work` returns or raises. Cancelled before its turn comes, it is not done at all."""
        crew, future = self._crew, asyncio.get_running_loop().create_future()
        crew.unfinished += 1
        crew.tasks.put((work, future))
        if crew.threads < min(crew.unfinished, self._most):
            crew.threads += 1
            threading.Thread(target=_run, args=(crew,), name=self._name, daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what they are at; whatever waits is cancelled."""
        # Another crew for what comes after: one that hangs must not take what is meant for it.
        crew, self._crew = self._crew, _Crew()
        while not crew.tasks.empty():
            task = crew.tasks.get()
            if task is not None:
                task[1].cancel()
        for _ in range(crew.threads):
            crew.tasks.put(None)


class _Crew:
    """Threads that take from one queue. The counts are the loop's."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self.threads = 0
        self.unfinished = 0
        """Tasks that wait or run; one that was given up runs until its thread is done with it."""


def _run(crew: _Crew) -> None:
    while (task := crew.tasks.get()) is not None:
        work, future = task
        result, error = None, None
        try:
            if not future.cancelled():
                result = work()
        except BaseException as problem:  # Also SystemExit: whoever asked is told, and the thread goes on.
            error = problem if isinstance(problem, Exception) else RuntimeError(type(problem).__name__)
        with contextlib.suppress(RuntimeError):  # The loop has ended: nobody waits any more.
            future.get_loop().call_soon_threadsafe(_finish, crew, future, result, error)
        del task, work, future, result, error


def _finish(crew: _Crew, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    crew.unfinished -= 1
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
