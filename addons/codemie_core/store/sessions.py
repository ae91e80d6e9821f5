"""Sessions: what an agent's user would call one piece of work, made of model turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from codemie_core.store import tables
from codemie_core.store.figures import Figures, figures_of, measures
from codemie_core.store.filters import EVERYTHING, Filter, conditions

_turns = tables.requests
_calls = tables.tool_calls
_files = tables.file_operations
_TOLD = ("agent", "project", "repository", "branch", "model", "account", "client_key")
_CHANGES = ("write", "edit", "delete")


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Of names that its turns do not share the first in order, and what it is of is among `several`."""

    id: str
    figures: Figures
    agent: str = ""
    project: str = ""
    repository: str = ""
    branch: str = ""
    model: str = ""
    account: str = ""
    client_key: str = ""
    several: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FileChange:
    """What became of one file. Lines are None where no change of it said how many."""

    path: str
    language: str
    operations: int
    lines_added: int | None
    lines_removed: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: behind this session."""

    last_ms: int
    id: str


def place_of(session: Session) -> Place:
    """A page's last one: the next page begins behind it."""
    return Place(session.figures.last_ms or 0, session.id)


def sessions(
    connection: Connection, asked: Filter = EVERYTHING, limit: int | None = 50, after: Place | None = None
) -> list[Session]:
    """Those with turns the filter lets through, the one used last first; only these turns are counted."""
    newest = func.max(_turns.c.started_ms)
    chosen = (
        select(_turns.c.session_id)
        .where(*conditions(asked))
        .group_by(_turns.c.session_id)
        .order_by(newest.desc(), _turns.c.session_id)
        .limit(limit)
    )
    if after is not None:
        behind = and_(newest == after.last_ms, _turns.c.session_id > after.id)
        chosen = chosen.having(or_(newest < after.last_ms, behind))
    query = (
        select(
            _turns.c.session_id,
            *measures(),
            *(func.min(func.nullif(_turns.c[name], "")).label(f"first_{name}") for name in _TOLD),
            *(func.max(func.nullif(_turns.c[name], "")).label(f"last_{name}") for name in _TOLD),
        )
        .where(*conditions(asked), _turns.c.session_id.in_(chosen))
        .group_by(_turns.c.session_id)
        .order_by(newest.desc(), _turns.c.session_id)
    )
    return [_session(row) for row in connection.execute(query)]


def last_session(connection: Connection, asked: Filter = EVERYTHING) -> str | None:
    """The id of the one that the newest turn belongs to."""
    query = select(_turns.c.session_id).where(*conditions(asked))
    found: str | None = connection.execute(
        query.order_by(_turns.c.started_ms.desc(), _turns.c.id.desc()).limit(1)
    ).scalar()
    return found


def changed_files(connection: Connection, asked: Filter = EVERYTHING, limit: int | None = None) -> list[FileChange]:
    """The files that these turns wrote, edited or deleted; most changed first. Failed calls did not."""
    operations = func.count()
    query = (
        select(
            _files.c.path,
            func.max(_files.c.language).label("language"),
            operations.label("operations"),
            func.sum(_files.c.lines_added).label("lines_added"),
            func.sum(_files.c.lines_removed).label("lines_removed"),
        )
        .join_from(_turns, _files)
        .outerjoin(_calls, and_(_calls.c.request_id == _files.c.request_id, _calls.c.n == _files.c.n))
        .where(*conditions(asked), _files.c.type.in_(_CHANGES), _calls.c.ok.is_not(False))
        .group_by(_files.c.path)
        .order_by(operations.desc(), _files.c.path)
        .limit(limit)
    )
    return [FileChange(**row._mapping) for row in connection.execute(query)]


def _session(row: Any) -> Session:
    told = row._mapping
    return Session(
        row.session_id,
        figures_of(row),
        **{name: told[f"first_{name}"] or "" for name in _TOLD},
        several=frozenset(name for name in _TOLD if told[f"first_{name}"] != told[f"last_{name}"]),
    )
