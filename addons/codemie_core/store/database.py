"""Opening the database: SQLite in the home, or the PostgreSQL that CODEMIE_DATABASE_URL names.

Both have the same tables and are written in transactions that begin as writers, so that two processes wait for each
other instead of failing half-way. A database of a newer version is read and not written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, update
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import migrate, tables
from codemie_core.store.place import DATABASE_VARIABLE, database_file, database_url, describe

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process that writes."""
_WRITING = "codemie_writing"


class Database:
    """One process's way to the store. Not bound to a thread; each transaction has its own connection."""

    def __init__(self, engine: Engine, clock: Callable[[], float], read_only_because: str) -> None:
        self._engine, self._clock = engine, clock
        self.read_only_because = read_only_because
        """Why nothing may be written; "" when it may."""

    @property
    def is_sqlite(self) -> bool:
        """The embedded one?"""
        return self._engine.dialect.name == "sqlite"

    @property
    def where(self) -> str:
        """Its place for people, without a password."""
        return describe(self._engine.url.render_as_string(hide_password=True))

    def now_ms(self) -> int:
        """The time as the tables have it."""
        return int(self._clock() * 1000)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of all tables."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed when nothing raises. SettingsError when the database may not be written."""
        if self.read_only_because:
            raise SettingsError(self.read_only_because)
        with self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITING: True})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give everything back."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"<Database({self.where})>"


def open_database(places: Places, environ: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> Database:
    """Open it, make it if it is not there, bring its tables up to date.

    SettingsError, with the fix and without a password, when that cannot be done.
    """
    url = database_url(places, environ)
    if url.startswith("sqlite"):
        _make_file(places)
    try:
        engine = _engine(url)
        return Database(engine, clock, migrate.up_to_date(engine, places, clock))
    except SQLAlchemyError as problem:
        raise SettingsError(_words(url, problem)) from None
    except ModuleNotFoundError as problem:
        raise SettingsError(
            f"{describe(url)} needs the library {problem.name}: install codemie-proxy[postgres]"
        ) from None


def revision_of(connection: Connection) -> int:
    """The number of the newest change that other processes must hear of."""
    return int(connection.execute(select(tables.revision.c.value)).scalar() or 0)


def bump(connection: Connection) -> int:
    """Count one more change; the number it gets."""
    table = tables.revision
    if not connection.execute(update(table).values(value=table.c.value + 1)).rowcount:
        connection.execute(insert(table).values(id=1, value=1))
    return revision_of(connection)


def _make_file(places: Places) -> None:
    path = database_file(places)
    places.ensure_private(places.proxy)
    try:
        # SQLite gives its -wal and -shm files the mode of this one.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as problem:
        raise SettingsError(f"{path} cannot be opened ({problem.strerror}); make it a writable file of yours") from None
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=2, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection, _: object) -> None:  # type: ignore[no-untyped-def] # the driver's own, sqlite3.Connection
        # The driver would begin transactions late and as readers; see `begin`.
        connection.isolation_level = None
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _words(url: str, problem: SQLAlchemyError) -> str:
    if isinstance(problem, ArgumentError | NoSuchModuleError):
        return f"{DATABASE_VARIABLE}: write postgresql://user@host/database"
    # The driver's own words: those of SQLAlchemy hold the statement. A password is in neither.
    cause = str(getattr(problem, "orig", "") or type(problem).__name__).strip().partition("\n")[0]
    return f"the database {describe(url)} cannot be used: {cause}"
