"""Keeps the board as it is over there: asks now and then, and listens to what is told live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from codemie_core.top.board import Board
from codemie_core.top.client import AdminClient, ApiTrouble, NotAllowed, NotAnswering
from codemie_core.top.shapes import Account, Request, Session, Totals, one, several

SOON, SELDOM = 2.0, 5.0
"""Seconds between two questions about accounts; about sessions and totals."""
AGAIN = 5.0
"""Seconds until a live stream that was refused is asked for again."""
NEWEST = 100
"""Sessions, and requests of the history, that are asked for."""


class Feed:
    """One proxy's. `changed` is called whenever there is something else to draw."""

    def __init__(self, board: Board, client: AdminClient, changed: Callable[[], None]) -> None:
        self._board, self._client, self._changed = board, client, changed
        self.live = False
        """Is there a live stream?"""
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """What cannot be shown just now, and why; "" for nothing."""
        return next(iter(self._troubles.values()), "")

    async def run(self) -> None:
        """Until the proxy does not answer any more (NotAnswering) or does not know us (NotAllowed)."""
        # It starts with what everything else needs: an answer at all.
        await self._asked(self._accounts)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._again(self._accounts, SOON))
                tasks.create_task(self._again(self._sessions, SELDOM))
                tasks.create_task(self._again(self._totals, SELDOM))
        except* (NotAnswering, NotAllowed) as troubles:
            raise troubles.exceptions[0] from None
        finally:
            self.live = False

    async def accounts(self) -> None:
        """Look at the accounts now: one has just been changed."""
        await self._asked(self._accounts)

    async def _follow(self) -> None:
        while True:
            try:
                await self._listen()
                raise NotAnswering("The proxy ended the live view.")
            except (NotAnswering, NotAllowed):
                raise
            except ApiTrouble as problem:
                self._troubles["live"] = f"No live view: {problem}"
                self._changed()
            await self._asked(self._history)
            await asyncio.sleep(AGAIN)

    async def _listen(self) -> None:
        self._board.lost()
        async for _, told in self._client.events("/api/requests/stream"):
            if not self.live:
                self.live = True
                self._troubles.pop("live", None)
                # Not before: what ends while the history is read is told live.
                await self._asked(self._history)
            if isinstance(told, dict) and self._board.heard(told):
                self._changed()

    async def _again(self, question: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            await self._asked(question)
            await asyncio.sleep(every)

    async def _asked(self, question: Callable[[], Awaitable[None]]) -> None:
        name = question.__name__.strip("_")
        try:
            await question()
            self._troubles.pop(name, None)
        except (NotAnswering, NotAllowed):
            raise
        except ApiTrouble as problem:
            self._troubles[name] = f"No {name}: {problem}"
        self._changed()

    async def _accounts(self) -> None:
        self._board.accounts = several(Account, items(await self._client.get("/api/accounts")))

    async def _sessions(self) -> None:
        self._board.sessions = several(Session, items(await self._client.get("/api/sessions", limit=NEWEST)))

    async def _history(self) -> None:
        self._board.loaded(several(Request, items(await self._client.get("/api/requests", limit=NEWEST))))

    async def _totals(self) -> None:
        found = await self._client.get("/api/analytics", range="24h")
        if isinstance(found, dict):
            self._board.totals = one(Totals, found.get("totals")) or Totals()
            points = items(found.get("timeSeries"))
            self._board.hours = [float(point.get("costUsd") or 0) for point in points if isinstance(point, dict)]


def items(found: Any) -> list[Any]:
    """The members of a list, or of a page of one."""
    if isinstance(found, dict):
        found = found.get("items") or found.get("accounts") or found.get("sessions") or found.get("requests")
    return found if isinstance(found, list) else []
