"""The scripted upstream on a loop of its own, for callers without one and for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from codemie_core.demo.upstream import Upstream

P = ParamSpec("P")
T = TypeVar("T")


class UpstreamThread:
    """`with UpstreamThread(...) as thread`: the arguments are those of `Upstream`."""

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments
        self._started: Future[tuple[Upstream, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="scripted-upstream")

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.upstream, self._loop, self._stop = self._started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """The upstream's URL."""
        return self.upstream.url

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on the upstream's loop and return its result: scripts and gates live there."""

        async def run() -> T:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _serve(self) -> None:
        try:
            async with Upstream(**self._arguments) as upstream:
                stop = asyncio.Event()
                self._started.set_result((upstream, asyncio.get_running_loop(), stop))
                await stop.wait()
        except OSError as error:
            self._started.set_exception(error)
