"""What the operator's side may reach, in this process: a real core with addons, and a real database."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from codemie_core.addon import Addon
from codemie_core.admin.live import Hub
from codemie_core.admin.log_ring import LogRing
from codemie_core.admin.plane import Plane
from codemie_core.admin.recent import Recent
from codemie_core.exchange import BOOK, Exchange, Terminal, exchange_of
from support.core_room import Listener, Room, request, running
from support.turn_rows import NOW


class AdminServer(Addon, priority=200, name="admin_server"):
    """Keeps what ended last, as the real one does."""

    def __init__(self) -> None:
        self.recent = Recent()


class Planes:
    """A plane with the room it is in."""

    def __init__(self, room: Room, plane: Plane, recent: Recent) -> None:
        self.room, self.plane, self.recent = room, plane, recent

    def exchange(self, **changes: Any) -> Exchange:
        """One that is open."""
        exchange = exchange_of(request())
        for name, value in changes.items():
            setattr(exchange, name, value)
        return exchange

    def ended(self, terminal: Terminal = Terminal.COMPLETE, error: str = "", **changes: Any) -> Exchange:
        """One that ended."""
        exchange = self.exchange(**changes)
        exchange.end(terminal, error or None)
        BOOK.close(exchange)
        self.recent.add(exchange)
        return exchange


def noon() -> float:
    """The moment that stored turns of tests are counted from."""
    return NOW / 1000


@asynccontextmanager
async def plane_of(*addons: Addon, clock: Callable[[], float] = noon, **options: Any) -> AsyncIterator[Planes]:
    """With these addons, else with one that only listens; the database is that of the test's home."""
    ours = AdminServer()
    async with running(*(addons or (Listener(),)), ours, **options) as room:
        plane = Plane(room.core, room.core.places, os.environ, Hub(BOOK.still_open), LogRing(), clock)
        try:
            yield Planes(room, plane, ours.recent)
        finally:
            await plane.close()


def now() -> float:
    """For what is compared with this machine's clock."""
    return time.time()
