"""What the operator's side may reach of the proxy it runs in. Imports no web library: it is there before they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from codemie_core.admin.problems import Unavailable
from codemie_core.admin.threads import Threads
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import audit
from codemie_core.store.place import DatabaseTrouble
from codemie_core.store.shared import SharedStore, take_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.accounts.keeper import PoolKeeper
    from codemie_core.accounts.pool import Pool
    from codemie_core.addon import Addon
    from codemie_core.admin.live import Hub
    from codemie_core.admin.log_ring import LogRing
    from codemie_core.core_addon import CoreAddon

THREADS = 4
"""Of its own: questions that hang must not take those in which the proxy reads requests."""
PATIENCE = 10.0
"""Seconds for one question to the database."""


class Plane:
    """One per proxy. Its methods run in mitmproxy's loop; what may block is done in threads of its own."""

    def __init__(
        self,
        core: CoreAddon,
        places: Places,
        environ: Mapping[str, str],
        hub: Hub,
        logs: LogRing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.core, self.places, self.environ = core, places, environ
        self.hub, self.logs, self.clock = hub, logs, clock
        self._threads = Threads(THREADS, "admin")
        self._store: SharedStore | None = None
        self._opening = asyncio.Lock()

    def addon(self, name: str) -> Addon | None:
        """The addon of this name, at work or not."""
        return next((addon for addon in self.core.addons_in_order if addon.name == name), None)

    @property
    def pool(self) -> Pool | None:
        """The accounts, as this process knows them; None where `account_rotation` is not loaded."""
        return cast("Pool | None", getattr(self.addon("account_rotation"), "pool", None))

    @property
    def keeper(self) -> PoolKeeper | None:
        """Changes accounts, for all processes; None where there is none."""
        return cast("PoolKeeper | None", getattr(self.addon("account_rotation"), "keeper", None))

    async def in_thread[T](self, work: Callable[[], T], within: float = PATIENCE) -> T:
        """Do what may block. Unavailable when it takes too long."""
        try:
            return await asyncio.wait_for(self._threads.run(work), within)
        except TimeoutError:
            raise Unavailable("The answer took too long; try again.") from None

    async def read[T](self, question: Callable[[Connection], T]) -> T:
        """Ask the database. Unavailable where there is none or it does not answer."""
        store = await self._opened()

        def asking() -> T:
            with store.database.reading() as connection:
                return question(connection)

        return await self._told(asking)

    async def write[T](self, change: Callable[[Connection], T]) -> T:
        """Change the database, in one transaction, before this returns. Unavailable where that cannot be."""
        store = await self._opened()

        def changing() -> T:
            with store.database.writing() as connection:
                return change(connection)

        return await self._told(changing)

    async def audit(self, event: str, reason: str, who: str) -> None:
        """Add to the audit trail what an operator did that concerns no single account."""
        await self.write(lambda connection: audit.record(connection, "", "", event, reason, who, self.clock))

    async def close(self) -> None:
        """Give the database back; asked again it opens anew. What still hangs in a thread is left to itself."""
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.release)
        self._threads.close()

    async def _told[T](self, work: Callable[[], T]) -> T:
        try:
            return await self.in_thread(work)
        except (DatabaseTrouble, SettingsError) as problem:
            raise Unavailable(str(problem)) from None

    async def _opened(self) -> SharedStore:
        async with self._opening:
            if self._store is None:
                self._store = await self._told(lambda: take_store(self.places, self.environ))
            return self._store
