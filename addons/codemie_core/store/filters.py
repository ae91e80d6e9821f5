"""Which model turns a question is about. Every question takes every filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement

from codemie_core.store import tables

type Status = Literal["", "ok", "error"]

_COLUMNS = {
    "models": "model",
    "accounts": "account",
    "agents": "agent",
    "sessions": "session_id",
    "conversations": "conversation_id",
    "projects": "project",
    "branches": "branch",
    "client_keys": "client_key",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Turns that began in [since_ms, until_ms) and have one of the names of each kind. No names: any will do.

    "" is a name, too: `accounts=("",)` are the turns that no account of the pool served.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    client_keys: tuple[str, ...] = ()
    status: Status = ""


EVERYTHING = Filter()


def conditions(asked: Filter) -> Iterator[ColumnElement[bool]]:
    """The filter in SQL, on the table `requests`; all of them must hold."""
    columns = tables.requests.c
    if asked.since_ms is not None:
        yield columns.started_ms >= asked.since_ms
    if asked.until_ms is not None:
        yield columns.started_ms < asked.until_ms
    for field, name in _COLUMNS.items():
        if names := getattr(asked, field):
            yield columns[name].in_(names)
    if asked.status:
        yield columns.ok.is_(asked.status == "ok")
