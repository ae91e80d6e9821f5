"""Model turns one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from codemie_core.admin import cursor as cursors
from codemie_core.admin.asked import EVERYTHING, Asked
from codemie_core.admin.payload import NOT_KEPT, Opener, RequestPayload, payload_of
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound, Unavailable
from codemie_core.admin.reasons import of_turn
from codemie_core.admin.recent_exchanges import remembered
from codemie_core.admin.request_rows import RequestDetail, RequestSummary, detail, summary
from codemie_core.admin.wire import Wire
from codemie_core.store import tables
from codemie_core.store.filters import Filter
from codemie_core.store.requests import Place, Row, one, page, place_of, that_begin

if TYPE_CHECKING:
    from sqlalchemy import Connection

PAYLOADS = 100
"""In one answer: each may be a megabyte."""


class RequestPage(Wire):
    """Some turns."""

    items: list[RequestSummary]
    next_cursor: str | None = None
    """Where the list goes on; None at its end."""


class DetailPage(Wire):
    """Some turns with what was said."""

    items: list[RequestPayload]
    next_cursor: str | None = None


async def requests(plane: Plane, asked: Asked = EVERYTHING, limit: int = 50, cursor: str = "") -> RequestPage:
    """The newest first."""
    rows, following = await rows_of(plane, asked.filter(_now(plane)), limit, cursor)
    return RequestPage(items=[summary(row) for row in rows], next_cursor=following)


async def rows_of(
    plane: Plane, wanted: Filter, limit: int, cursor: str, oldest_first: bool = False
) -> tuple[list[Row], str | None]:
    """A page of them, and where the next one begins."""
    after = Place(*cursors.decode(cursor, int, str)) if cursor else None

    def found(connection: Connection) -> list[Row]:
        return page(connection, wanted, after, limit + 1, oldest_first=oldest_first)

    rows = await plane.read(found)
    if len(rows) <= limit:
        return rows, None
    last = place_of(rows[limit - 1])
    return rows[:limit], cursors.encode(last.started_ms, last.id)


async def request(plane: Plane, request_id: str) -> RequestDetail:
    """All of one; the start of its id will do. NotFound when there is none."""

    def found(connection: Connection) -> RequestDetail:
        turn = one(connection, whole_id(connection, request_id))
        if turn is None:
            raise no_such(request_id)
        mine = tables.payloads.c.request_id == turn.row["id"]
        kept = connection.scalar(select(tables.payloads.c.bytes).where(mine)) is not None
        return detail(turn, of_turn(turn, remembered(plane, turn.row["id"])), kept)

    return await plane.read(found)


async def details(plane: Plane, asked: Asked = EVERYTHING, limit: int = 100, cursor: str = "") -> DetailPage:
    """The newest turns with what was said in them; of those whose words were not kept the reason."""
    rows, following = await rows_of(plane, asked.filter(_now(plane)), min(limit, PAYLOADS), cursor)

    def found(connection: Connection) -> list[RequestPayload]:
        opener = Opener(plane, connection)
        return [payload_of(row, opener) for row in rows]

    return DetailPage(items=await plane.read(found) if rows else [], next_cursor=following)


async def payload(plane: Plane, request_id: str) -> RequestPayload:
    """What was said in one turn. NotFound when nobody knows; it says what to switch on."""

    def found(connection: Connection) -> RequestPayload:
        turn = one(connection, whole_id(connection, request_id))
        if turn is None:
            raise no_such(request_id)
        told = payload_of(turn.row, Opener(plane, connection))
        if told.error == NOT_KEPT:
            raise NotFound(NOT_KEPT)
        if told.error is not None:
            raise Unavailable(told.error)
        return told

    return await plane.read(found)


def whole_id(connection: Connection, start: str) -> str:
    """Of the one turn whose id begins so. NotFound unless there is just one."""
    if not start or "\0" in start:
        raise no_such(start)
    found = that_begin(connection, tables.requests.c.id, start, 2)
    if len(found) > 1:
        raise NotFound(f"Several requests begin with {start!r}: write more of it.")
    if not found:
        raise no_such(start)
    return found[0]


def no_such(request_id: str) -> NotFound:
    """There is no such turn, or not any more."""
    return NotFound(f"There is no request {request_id[:80]!r}, or it is older than what is kept: GET /api/requests.")


def _now(plane: Plane) -> int:
    return round(plane.clock() * 1000)
