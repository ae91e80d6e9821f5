"""What the history takes, where it is, and how far back it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from sqlalchemy import func, select, text

from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire, iso
from codemie_core.store import tables
from codemie_core.store.keeping import Keeping
from codemie_core.store.place import database_file, database_url, describe

if TYPE_CHECKING:
    from sqlalchemy import Connection

SHOWN = (
    *(tables.requests, tables.attempts, tables.tool_calls, tables.file_operations, tables.payloads),
    *(tables.accounts, tables.account_events, tables.conversations, tables.metrics_batches),
)


class TableSize(Wire):
    """One table."""

    name: str
    rows: int


class Kept(Wire):
    """For how long what is kept; 0 is without a bound."""

    request_days: float
    payload_days: float
    bytes: int
    payloads: bool = Field(description="Is what was said kept at all?")


class Storage(Wire):
    """The database."""

    place: str = Field(description="Without its password.")
    kind: str = Field(description="sqlite or postgresql.")
    bytes: int | None = Field(description="On disk, with what is not yet checked in.")
    free_bytes: int | None = Field(description="Of them given back by deleted rows; new rows need them first.")
    tables: list[TableSize]
    payload_bytes: int = Field(description="Before they were packed.")
    oldest: str | None
    newest: str | None
    keep: Kept | None = Field(description="None: usage_metering is not at work, and nothing is added.")
    trouble: str | None = Field(description="Why nothing can be stored now.")


async def storage(plane: Plane) -> Storage:
    """Unavailable when the database does not answer."""
    file = database_file(plane.places)
    place = describe(database_url(plane.places, plane.environ))
    trouble = _trouble(plane)
    return await plane.read(lambda connection: _of(connection, plane, file, place, trouble))


def _of(connection: Connection, plane: Plane, file: Path, place: str, trouble: str) -> Storage:
    turns = tables.requests.c
    oldest, newest = connection.execute(select(func.min(turns.started_ms), func.max(turns.started_ms))).one()
    size, free = _sizes(connection, file)
    return Storage(
        place=place,
        kind=connection.dialect.name,
        bytes=size,
        free_bytes=free,
        tables=[TableSize(name=table.name, rows=_rows(connection, table.name)) for table in SHOWN],
        payload_bytes=int(connection.scalar(select(func.sum(tables.payloads.c.bytes))) or 0),
        oldest=iso(oldest),
        newest=iso(newest),
        keep=_kept(plane),
        trouble=trouble or None,
    )


def _rows(connection: Connection, name: str) -> int:
    return int(connection.scalar(select(func.count()).select_from(tables.metadata.tables[name])) or 0)


def _sizes(connection: Connection, file: Path) -> tuple[int | None, int | None]:
    if connection.dialect.name != "sqlite":
        found = connection.scalar(text("SELECT pg_database_size(current_database())"))
        return (None if found is None else int(found)), None
    parts = (file, file.with_name(f"{file.name}-wal"))
    size = sum(part.stat().st_size for part in parts if part.exists())
    page, free = (connection.scalar(text(f"PRAGMA {name}")) or 0 for name in ("page_size", "freelist_count"))
    return size, int(page) * int(free)


def _kept(plane: Plane) -> Kept | None:
    addon = plane.addon("usage_metering")
    if addon is None or not addon.status.at_work or not hasattr(addon, "settings"):
        return None
    own = addon.settings
    keeping = Keeping(own.keep, own.keep_size, own.payload_keep)
    return Kept(
        request_days=keeping.seconds / 86_400,
        payload_days=keeping.payload_seconds / 86_400,
        bytes=keeping.bytes,
        payloads=own.payloads,
    )


def _trouble(plane: Plane) -> str:
    """As the history tells it, whose thread is the one that writes."""
    addon = plane.addon("usage_metering")
    history = addon.health().get("history") if addon is not None and addon.status.at_work else None
    return str(history.get("trouble", "")) if isinstance(history, Mapping) else ""
