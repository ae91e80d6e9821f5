"""Tidying up by hand: what is too old goes now, free pages go back to the disk, or all that was counted is forgotten.

In steps of some milliseconds, so that a proxy that stores turns meanwhile does not wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.admin.changing import Done, has_store
from codemie_core.admin.config import DAY, keeping_of
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire, iso
from codemie_core.store.keeping import Keeping
from codemie_core.store.retention import AIM, PAUSE, Sweeper, give_back

if TYPE_CHECKING:
    from sqlalchemy import Connection

PATIENCE = 20.0
"""Seconds after which it ends, done or not."""
BREATH = 0.01
"""Seconds between two steps."""


class Cleaned(Wire):
    """What is gone."""

    removed_requests: int
    removed_payloads: int = Field(description="Without those that went with their request.")
    cutoff_iso: str | None = Field(description="Requests from before are gone; null: they are kept for ever.")
    more: bool = Field(description="It would have taken longer: ask again.")


class Compacted(Wire):
    """How much smaller the database is."""

    ok: bool = True
    bytes_before: int | None = Field(description="null: a PostgreSQL server looks after itself.")
    bytes_after: int | None
    more: bool = Field(description="It would have taken longer: ask again.")


async def cleanup(plane: Plane, who: str) -> Cleaned:
    """Remove what is older than the retention says, or too much."""
    now, keeping = plane.clock(), keeping_of(plane)
    cutoff = iso((now - keeping.seconds) * 1000) if keeping.seconds else None
    if not has_store(plane):
        return Cleaned(removed_requests=0, removed_payloads=0, cutoff_iso=cutoff, more=False)
    sweeper, more = await _sweep(plane, keeping, now)
    turns = sweeper.deleted - sweeper.payloads
    await plane.audit("cleanup", f"{turns} requests, {sweeper.payloads} payloads", who)
    return Cleaned(removed_requests=turns, removed_payloads=sweeper.payloads, cutoff_iso=cutoff, more=more)


async def compact(plane: Plane, who: str) -> Compacted:
    """Give the database's free pages back to the disk."""
    if not has_store(plane):
        return Compacted(bytes_before=None, bytes_after=None, more=False)
    before = await plane.read(_size)
    if before is None:
        return Compacted(bytes_before=None, bytes_after=None, more=False)
    until, more = time.monotonic() + PATIENCE, True
    while more and time.monotonic() < until:
        more = await plane.write(lambda connection: give_back(connection, time.perf_counter() + AIM, slack=0))
        await asyncio.sleep(BREATH)
    after = await plane.read(_size)
    await plane.audit("compacted", f"from {before} to {after} bytes", who)
    return Compacted(bytes_before=before, bytes_after=after, more=more)


async def reset_stats(plane: Plane, who: str) -> Done:
    """Forget all turns: counts, tokens, costs and what was said. Accounts and what is known of limits stay."""
    if not has_store(plane):
        return Done(message="There is no history yet.")
    everything = Keeping(seconds=0.001, bytes=0, payload_seconds=0)
    # As if it were tomorrow: other machines' clocks may be ahead of this one's.
    sweeper, more = await _sweep(plane, everything, plane.clock() + DAY)
    turns = sweeper.deleted
    await plane.audit("statistics reset", f"{turns} requests", who)
    rest = " There are more: ask again." if more else ""
    return Done(success=not more, message=f"{turns} requests are forgotten.{rest}")


async def _sweep(plane: Plane, keeping: Keeping, now: float) -> tuple[Sweeper, bool]:
    sweeper = Sweeper(keeping, lambda: now)
    until = time.monotonic() + PATIENCE
    while await plane.write(sweeper) <= PAUSE:
        if time.monotonic() > until:
            return sweeper, True
        await asyncio.sleep(BREATH)
    return sweeper, False


def _size(connection: Connection) -> int | None:
    """Of the file as it is once it is checked in."""
    if connection.dialect.name != "sqlite":
        return None
    pages, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("page_count", "page_size")
    )
    return pages * size
