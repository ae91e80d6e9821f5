"""Sessions: what a person would call one piece of work, made of model turns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.admin import cursor as cursors
from codemie_core.admin.asked import EVERYTHING, Asked
from codemie_core.admin.counted import Counted, Named, counted, named
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound
from codemie_core.admin.recent_exchanges import ended_ones, open_ones
from codemie_core.admin.request_rows import summary
from codemie_core.admin.requests import RequestPage, rows_of
from codemie_core.admin.wire import Wire, iso
from codemie_core.store import analytics, tables
from codemie_core.store import sessions as history
from codemie_core.store.breakdown import Breakdown, Slice
from codemie_core.store.filters import Filter
from codemie_core.store.requests import page, that_begin
from codemie_core.store.sessions import Place, Session, place_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

FILES = 200


class SessionSummary(Counted):
    """A session in a list. Of names that its turns do not share it has the first; `several` says which these are."""

    id: str
    agent: str | None
    project: str | None
    repository: str | None
    branch: str | None
    model: str | None
    account: str | None
    api_key_name: str | None
    several: list[str]
    started: str | None
    ended: str | None
    duration_ms: int = Field(description="From its first turn to the end of its last one.")


class SessionPage(Wire):
    """Some sessions."""

    items: list[SessionSummary]
    next_cursor: str | None = None


class ToolUse(Wire):
    """Calls of one tool. `unknown`: no later turn told how they went."""

    name: str
    calls: int
    ok: int
    failed: int
    unknown: int


class FileChanged(Wire):
    """What became of a file."""

    path: str
    language: str | None
    operations: int
    lines_added: int | None
    lines_removed: int | None


class SessionDetail(SessionSummary):
    """All of one session but its turns."""

    models: list[Named]
    accounts: list[Named]
    branches: list[str]
    tools: list[ToolUse]
    files: list[FileChanged]
    conversations: list[str]


class ServingAccount(Wire):
    """Which account serves a session now."""

    session_id: str
    account: str | None = Field(description="None: no account of the pool serves it.")
    why: str | None
    state: str | None
    until: str | None
    last_used: str | None


async def sessions(plane: Plane, asked: Asked = EVERYTHING, limit: int = 50, cursor: str = "") -> SessionPage:
    """The one used last first; only the turns that are asked for are counted."""
    wanted = asked.filter(round(plane.clock() * 1000))
    after = Place(*cursors.decode(cursor, int, str)) if cursor else None

    def found(connection: Connection) -> SessionPage:
        seen = history.sessions(connection, wanted, limit + 1, after)
        following = place_of(seen[limit - 1]) if len(seen) > limit else None
        seen = seen[:limit]
        slices = _slices(connection, wanted, seen)
        return SessionPage(
            items=[SessionSummary(**_told(one, slices[one.id])) for one in seen],
            next_cursor=cursors.encode(following.last_ms, following.id) if following else None,
        )

    return await plane.read(found)


async def session(plane: Plane, session_id: str) -> SessionDetail:
    """One of them; the start of its id will do. NotFound when there is none."""

    def found(connection: Connection) -> SessionDetail:
        whole = _whole_id(connection, session_id)
        asked = Filter(sessions=(whole,))
        [seen] = history.sessions(connection, asked)
        files = history.changed_files(connection, asked, FILES)
        parts = Breakdown(connection, asked, ("model", "account"))
        return SessionDetail(
            **_told(seen, parts.whole()),
            models=_named(parts.by_name("model")),
            accounts=_named(parts.by_name("account")),
            branches=[name for name in analytics.names(connection, "branch", asked) if name],
            tools=[
                ToolUse(name=tool.name, calls=tool.calls, ok=tool.ok, failed=tool.failed, unknown=tool.unknown)
                for tool in analytics.tools(connection, asked)
            ],
            files=[
                FileChanged(
                    path=file.path,
                    language=file.language or None,
                    operations=file.operations,
                    lines_added=file.lines_added,
                    lines_removed=file.lines_removed,
                )
                for file in files
            ],
            conversations=[name for name in analytics.names(connection, "conversation", asked) if name],
        )

    return await plane.read(found)


async def turns(plane: Plane, session_id: str, limit: int = 50, cursor: str = "") -> RequestPage:
    """Its turns, the oldest first. NotFound when there is no such session."""
    whole = await plane.read(lambda connection: _whole_id(connection, session_id))
    rows, following = await rows_of(plane, Filter(sessions=(whole,)), limit, cursor, oldest_first=True)
    return RequestPage(items=[summary(row) for row in rows], next_cursor=following)


async def account_of(plane: Plane, session_id: str) -> ServingAccount:
    """By its newest request: of those under way, of those that ended last, else of the history."""
    for exchange in (*open_ones(plane), *ended_ones(plane)):
        if exchange.session_id == session_id:
            at = iso(exchange.started_at * 1000)
            return _serving(plane, session_id, exchange.account, exchange.account_why, at)

    def newest(connection: Connection) -> tuple[str, str, str | None]:
        whole = _whole_id(connection, session_id)
        [row] = page(connection, Filter(sessions=(whole,)), limit=1)
        return whole, row["account"], iso(row["started_ms"])

    whole, account, at = await plane.read(newest)
    return _serving(plane, whole, account, "", at)


def _serving(plane: Plane, session_id: str, account: str, why: str, at: str | None) -> ServingAccount:
    pool = plane.pool
    known = [one for one in pool.accounts if one.name == account] if pool is not None else []
    status = pool.status(known[0].id) if pool is not None and known else None
    return ServingAccount(
        session_id=session_id,
        account=account or None,
        why=why or None,
        state=status.state if status is not None else None,
        until=iso(status.until * 1000) if status is not None and status.until is not None else None,
        last_used=at,
    )


def _whole_id(connection: Connection, start: str) -> str:
    found = that_begin(connection, tables.requests.c.session_id, start, 2) if start and "\0" not in start else []
    if len(found) > 1:
        raise NotFound(f"Several sessions begin with {start!r}: write more of it.")
    if not found:
        raise NotFound(f"There is no session {start[:80]!r}, or it is older than what is kept: GET /api/sessions.")
    return found[0]


def _slices(connection: Connection, wanted: Filter, seen: list[Session]) -> dict[str, Slice]:
    ids = tuple(one.id for one in seen)
    return Breakdown(connection, replace(wanted, sessions=ids), ("session",)).by_name("session") if ids else {}


def _told(seen: Session, found: Slice) -> dict[str, object]:
    figures = seen.figures
    first, ended = figures.first_ms or 0, figures.ended_ms or 0
    return {
        **counted(found).model_dump(by_alias=False),
        "id": seen.id,
        "agent": seen.agent or None,
        "project": seen.project or None,
        "repository": seen.repository or None,
        "branch": seen.branch or None,
        "model": seen.model or None,
        "account": seen.account or None,
        "api_key_name": seen.client_key or None,
        "several": sorted(seen.several),
        "started": iso(figures.first_ms),
        "ended": iso(figures.ended_ms),
        "duration_ms": max(0, ended - first),
    }


def _named(found: dict[str, Slice]) -> list[Named]:
    return [named(name, one) for name, one in found.items()]
