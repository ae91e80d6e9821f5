"""The history of this CodeMie home, as the commands look at it: which turns are asked for, by which names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING

from codemie_core.amounts import plain
from codemie_core.cli.moments import moment_ms
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.analytics import Dimension
    from codemie_core.store.database import Database
    from codemie_core.store.filters import Filter, Status

NOTHING_YET = "There is no history yet. It begins with the first request to a model through codemie-proxy start."
NO_HISTORY = f"t{NOTHING_YET[1:-1]}"
NOTHING_FOUND = "No turn matches."
LAST = "last"
"""The session that was used last."""
_SHOWN = 5
_TURNS = 10_000


@dataclass(frozen=True, slots=True)
class Given:
    """The options that say which turns, as they were typed."""

    since: str = ""
    until: str = ""
    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    client_keys: tuple[str, ...] = ()
    status: str = ""


EVERY_TURN = Given()


class HistoryBook:
    """One command's look at the store."""

    def __init__(self, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time) -> None:
        self.places, self.environ, self.clock = Places.from_env(environ), environ, clock

    @property
    def now_ms(self) -> int:
        """As the tables have it."""
        return round(self.clock() * 1000)

    @contextmanager
    def database(self, given: Given = EVERY_TURN) -> Iterator[Database | None]:
        """Opened; None when there is none. Asking creates nothing.

        SettingsError for what is `given` wrongly, also where there is nothing to choose from yet.
        """
        self._span(given)
        _status(given.status)
        for library in ("sqlalchemy", "alembic"):
            if find_spec(library) is None:
                raise SettingsError(f"the history needs the library {library}: pip install 'codemie-proxy[store]'")
        from codemie_core.store.place import store_exists

        if not store_exists(self.places, self.environ):
            yield None
            return
        from codemie_core.store.database import open_database

        database = open_database(self.places, self.environ, clock=self.clock)
        try:
            yield database
        finally:
            database.close()

    def filter(self, connection: Connection, given: Given) -> Filter:
        """What was typed, with names completed. SettingsError when there is no such name, or time."""
        from codemie_core.store.filters import Filter

        since, until = self._span(given)
        return Filter(
            since_ms=since,
            until_ms=until,
            models=_names(connection, "model", "--model", given.models),
            accounts=_names(connection, "account", "--account", given.accounts),
            agents=_names(connection, "agent", "--agent", given.agents),
            sessions=tuple(session_id(connection, each) for each in given.sessions),
            projects=_names(connection, "project", "--project", given.projects),
            branches=_names(connection, "branch", "--branch", given.branches),
            client_keys=_names(connection, "client_key", "--key", given.client_keys),
            status=_status(given.status),
        )

    def _span(self, given: Given) -> tuple[int | None, int | None]:
        since, until = (
            moment_ms(option, text, self.clock()) if text else None
            for option, text in (("--since", given.since), ("--until", given.until))
        )
        if since is not None and until is not None and since >= until:
            raise SettingsError(f"--until {given.until} is not after --since {given.since}")
        return since, until


def session_id(connection: Connection, start: str) -> str:
    """The whole id of the session that begins so, or of the last one. SettingsError unless there is just one."""
    from codemie_core.store import tables
    from codemie_core.store.sessions import last_session

    if start == LAST:
        if (newest := last_session(connection)) is None:
            raise SettingsError(NO_HISTORY)
        return newest
    return _the_one(connection, tables.requests.c.session_id.name, start, "session", "codemie-proxy sessions")


def request_id(connection: Connection, start: str) -> str:
    """The whole id of the turn that begins so, or of the last one. SettingsError unless there is just one."""
    from codemie_core.store.requests import page

    if start == LAST:
        if not (rows := page(connection, limit=1)):
            raise SettingsError(NO_HISTORY)
        return str(rows[0]["id"])
    return _the_one(connection, "id", start, "request", "codemie-proxy requests")


def _the_one(connection: Connection, column: str, start: str, what: str, command: str) -> str:
    from codemie_core.store import tables
    from codemie_core.store.requests import that_begin

    found = that_begin(connection, tables.requests.c[column], start, _SHOWN + 1) if start else []
    head, dot, turn = start.rpartition(".")
    if not found and dot and head:
        # As lists show the turns of a WebSocket: the start of its id, and which turn.
        all_turns = that_begin(connection, tables.requests.c[column], head, _TURNS)
        found = [each for each in all_turns if each.endswith(f".{turn}")]
    if not found:
        raise SettingsError(f"there is no {what} {start!r}; {command} shows them")
    if len(found) > 1:
        more = ", ..." if len(found) > _SHOWN else ""
        listed = ", ".join(plain(each) for each in found[:_SHOWN])
        raise SettingsError(f"several {what}s begin with {start!r}: {listed}{more}. Write more of it")
    return found[0]


def _names(connection: Connection, dimension: Dimension, option: str, typed: tuple[str, ...]) -> tuple[str, ...]:
    """Each a whole name, else the start of some, or a pattern; "-" is for turns without one."""
    from codemie_core.store.analytics import names

    known = names(connection, dimension) if typed else []
    found: dict[str, None] = {}
    for text in typed:
        fitting = [name for name in known if _fits(name, text, known)]
        if not fitting:
            raise SettingsError(_no_such(option, text, [name for name in known if name]))
        found.update(dict.fromkeys(fitting))
    return tuple(found)


def _fits(name: str, text: str, known: list[str]) -> bool:
    if text == "-":
        return not name
    if text in known:
        return name == text
    if any(sign in text for sign in "*?["):
        return fnmatchcase(name, text)
    return bool(text) and name.startswith(text)


def _no_such(option: str, text: str, known: list[str]) -> str:
    if not known:
        return f"{option} {text}: no turn has one yet"
    close = nearest(text, known)
    if close:
        return f"{option} {text}: no turn has that; did you mean {plain(close)!r}?"
    listed = ", ".join(plain(name) for name in known[:_SHOWN])
    return f"{option} {text}: no turn has that; there are {listed}{', ...' if len(known) > _SHOWN else ''}"


def _status(text: str) -> Status:
    match text:
        case "" | "ok" | "error":
            return text
    raise SettingsError(f"--status {text}: write ok or error")
