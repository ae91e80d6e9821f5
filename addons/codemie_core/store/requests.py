"""Model turns one by one: pages of a list, and all of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Table, select, tuple_

from codemie_core.store import tables
from codemie_core.store.filters import EVERYTHING, Filter, conditions

PAGE = 500
_turns = tables.requests

type Row = Mapping[str, Any]
"""A row by its columns' names; see `tables.requests`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: behind this turn. Turns that are added meanwhile move nothing."""

    started_ms: int
    id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn and what belongs to it."""

    row: Row
    attempts: tuple[Row, ...] = ()
    tool_calls: tuple[Row, ...] = ()
    file_operations: tuple[Row, ...] = ()


class Readable(Protocol):
    """A database, or whatever lends connections to read from."""

    def reading(self) -> AbstractContextManager[Connection]: ...


def place_of(row: Row) -> Place:
    """A page's last row: the next page begins behind it."""
    return Place(row["started_ms"], row["id"])


def page(
    connection: Connection,
    asked: Filter = EVERYTHING,
    after: Place | None = None,
    limit: int = 50,
    *,
    oldest_first: bool = False,
) -> list[Row]:
    """So many turns, the newest first, behind the place. What it takes does not grow with how far back that is."""
    order = (_turns.c.started_ms, _turns.c.id)
    query = select(_turns).where(*conditions(asked)).limit(limit)
    if after is not None:
        here = tuple_(after.started_ms, after.id)
        query = query.where(tuple_(*order) > here if oldest_first else tuple_(*order) < here)
    query = query.order_by(*(order if oldest_first else (each.desc() for each in order)))
    return [dict(row._mapping) for row in connection.execute(query)]


def every(database: Readable, asked: Filter = EVERYTHING, size: int = PAGE) -> Iterator[list[Turn]]:
    """All turns, oldest first, in pages: memory does not grow with them.

    Each page is a transaction of its own, so that a slow reader holds nothing up.
    """
    after: Place | None = None
    while True:
        with database.reading() as connection:
            rows = page(connection, asked, after, size, oldest_first=True)
            turns = whole(connection, rows)
        if turns:
            yield turns
        if len(rows) < size:
            return
        after = place_of(rows[-1])


def whole(connection: Connection, rows: Sequence[Row]) -> list[Turn]:
    """Turns with what belongs to them."""
    ids = [row["id"] for row in rows]
    attempts, calls, files = (
        _children(connection, table, ids) for table in (tables.attempts, tables.tool_calls, tables.file_operations)
    )
    return [Turn(row, attempts[row["id"]], calls[row["id"]], files[row["id"]]) for row in rows]


def one(connection: Connection, request_id: str) -> Turn | None:
    """The turn of this whole id."""
    rows = [dict(row._mapping) for row in connection.execute(select(_turns).where(_turns.c.id == request_id))]
    return whole(connection, rows)[0] if rows else None


def that_begin(connection: Connection, column: Column[str], start: str, limit: int = 10) -> list[str]:
    """Ids, or other names in this column of `requests`, that begin so; the whole one alone where there is one."""
    found = select(column).distinct().order_by(column).limit(limit)
    exact = list(connection.execute(found.where(column == start)).scalars())
    return exact or list(connection.execute(found.where(_begins(connection, column, start))).scalars())


def _begins(connection: Connection, column: Column[str], start: str) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        # It compares bytes, and an index serves. PostgreSQL compares as its language does.
        return (column >= start) & (column < f"{start}\U0010ffff")
    return column.startswith(start, autoescape=True)


def _children(connection: Connection, table: Table, ids: Sequence[str]) -> defaultdict[str, tuple[Row, ...]]:
    found: defaultdict[str, tuple[Row, ...]] = defaultdict(tuple)
    query = select(table).where(table.c.request_id.in_(ids)).order_by(*table.primary_key)
    for row in connection.execute(query) if ids else ():
        found[row.request_id] += (dict(row._mapping),)
    return found
