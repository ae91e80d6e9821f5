"""Finds the proxy to show, starts one where none runs, and stays with it until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codemie_core.errors import CodemieError, SettingsError
from codemie_core.launch.own_proxy import OwnProxy
from codemie_core.places import Places
from codemie_core.running import RunningProxy
from codemie_core.top import proxies
from codemie_core.top.board import Board
from codemie_core.top.client import AdminClient, ApiTrouble
from codemie_core.top.feed import Feed

LOOK_AGAIN = 1.0
"""Seconds between two looks for a proxy."""

NONE_RUNS = "No proxy runs here. s starts one, q ends this."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    places: Places
    environ: Mapping[str, str]
    start: Sequence[str] = ()
    """Arguments of `codemie-proxy start`, for the proxy that is started where none runs."""
    port: int | None = None
    """Where the proxy listens that is shown; None for the one that was started last."""
    stay: bool = False
    """Does one that is started here go on alone?"""
    may_start: bool = True


class Attachment:
    """`changed` is called whenever there is something else to draw."""

    def __init__(
        self,
        wanted: Wanted,
        board: Board,
        changed: Callable[[], None],
        connect: Callable[[int, str], AdminClient] = AdminClient,
    ) -> None:
        self._wanted, self._board, self._changed, self._connect = wanted, board, changed, connect
        self.entry: RunningProxy | None = None
        """The proxy that is shown."""
        self.others = 0
        """How many more there are."""
        self.client: AdminClient | None = None
        self.feed: Feed | None = None
        self.own: OwnProxy | None = None
        self.told = "Looking for a proxy ..."
        """What there is to say while none is shown."""
        self._skipped = 0
        self._start_asked = asyncio.Event()
        self._round: asyncio.Task[None] | None = None

    @property
    def is_own(self) -> bool:
        """Is the one that is shown the one that was started here?"""
        return self.own is not None and self.entry is not None and self.own.pid == self.entry.pid and self.own.runs

    async def run(self) -> None:
        """For ever. A CodemieError when there is nothing to show from the start."""
        running = self._running()
        if self._wanted.may_start and not running.shown and not running.coming:
            await self._start()
        while True:
            await self._once()
            self._changed()
            try:
                await asyncio.wait_for(self._start_asked.wait(), LOOK_AGAIN)
            except TimeoutError:
                continue
            self._start_asked.clear()
            await self._start_again()

    async def _once(self) -> None:
        try:
            running = self._running()
        except SettingsError as problem:
            if self.entry is None:
                raise
            self.told = str(problem)
            return
        if running.shown:
            self.others = len(running.shown) - 1
            await self._show(running.shown[self._skipped % len(running.shown)])
        else:
            self.told = "A proxy comes up ..." if running.coming else NONE_RUNS

    def start_one(self) -> None:
        """None runs any more, and somebody wants one."""
        if self.client is None:
            self._start_asked.set()

    def next(self) -> None:
        """Show another of the running proxies."""
        self._skipped += 1
        if self._round is not None:
            self._round.cancel()

    def _running(self) -> proxies.Running:
        return proxies.running(self._wanted.places, self._wanted.port)

    async def _start(self) -> None:
        self.told = "No proxy runs: starting one ..."
        self._changed()
        own = OwnProxy(self._wanted.places, self._wanted.environ, self._wanted.start)
        self.own = own
        await own.up()
        if self._wanted.stay:
            own.keep()

    async def _start_again(self) -> None:
        try:
            await self._start()
        except CodemieError as problem:
            self.told = f"{problem}\ns tries again, q ends this."

    async def _show(self, entry: RunningProxy) -> None:
        assert entry.admin_port is not None
        try:
            token = proxies.token(self._wanted.places)
        except SettingsError as problem:
            self.told = str(problem)
            return
        self.entry, self.client = entry, self._connect(entry.admin_port, token)
        self.feed = Feed(self._board, self.client, self._changed)
        self._round = asyncio.get_running_loop().create_task(self.feed.run())
        try:
            await asyncio.wait([self._round])
            self._ended(self._round)
        finally:
            self._round.cancel()
            client, self.client, self.feed, self._round = self.client, None, None, None
            await client.close()

    def _ended(self, watching: asyncio.Task[None]) -> None:
        problem = None if watching.cancelled() else watching.exception()
        if isinstance(problem, ApiTrouble):
            self.told = str(problem)
        elif problem is not None:
            raise problem
