"""Opening the database: SQLite in the home, or the PostgreSQL that CODEMIE_DATABASE_URL names.

Both have the same tables and are written in transactions that begin as writers, so that two processes wait for each
other instead of failing half-way. A database of a newer version is read and not written.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, update
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import migrate, tables
from codemie_core.store.place import (
    DATABASE_VARIABLE,
    DatabaseTrouble,
    LibraryMissing,
    database_file,
    database_url,
    describe,
)

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process that writes."""
_WRITING = "codemie_writing"
"""The execution option of a connection that begins as a writer: the seconds it waits for others."""
_INCREMENTAL = (2,)
_OUR_MISTAKES = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
# A server that has vanished is noticed within some seconds, not after the two hours of TCP.
_POSTGRES = {"connect_timeout": 5, "keepalives_idle": 30, "tcp_user_timeout": 10_000, "application_name": "codemie"}


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
    def writable(self) -> bool:
        """May it be written?"""
        return not self.read_only_because

    @property
    def where(self) -> str:
        """Its place for people, without a password."""
        return describe(self._engine.url.render_as_string(hide_password=True))

    def now_ms(self) -> int:
        """The time as the tables have it."""
        return int(self._clock() * 1000)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of all tables. DatabaseTrouble when the database cannot be used now."""
        with self._telling(), self._engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self, patience: float | None = None) -> Iterator[Connection]:
        """A transaction that is committed when nothing raises; waits so many seconds for others who write.

        SettingsError when the database may not be written, DatabaseTrouble when it cannot be now.
        """
        if self.read_only_because:
            raise SettingsError(self.read_only_because)
        patience = BUSY_TIMEOUT if patience is None else patience
        with self._telling(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITING: patience})
            with connection.begin():
                if not self.is_sqlite:
                    _begin_as_writer(connection, patience)
                yield connection

    def close(self) -> None:
        """Give everything back."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"<Database({self.where})>"

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except _OUR_MISTAKES:
            raise
        except (DBAPIError, PoolTimeout) as problem:
            raise DatabaseTrouble(_words(self.where, problem)) from None


def open_database(places: Places, environ: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> Database:
    """Open it, make it if it is not there, bring its tables up to date.

    SettingsError, with the fix and without a password, when that cannot be done.
    """
    url = database_url(places, environ)
    if url.startswith("sqlite"):
        _make_file(places)
    where, engine = describe(url), None
    try:
        engine = _engine(url)
        return Database(engine, clock, migrate.up_to_date(engine, places, clock))
    except BaseException as problem:
        if engine is not None:
            engine.dispose()
        if isinstance(problem, SQLAlchemyError):
            raise DatabaseTrouble(_words(where, problem)) from None
        if isinstance(problem, ModuleNotFoundError):
            extra = "postgres" if problem.name == "psycopg" else "store"
            raise LibraryMissing(f"{where} needs {problem.name}: pip install 'codemie-proxy[{extra}]'") from None
        raise


def revision_of(connection: Connection) -> int:
    """The number of the newest change that other processes must hear of."""
    return int(connection.execute(select(tables.revision.c.value)).scalar_one())


def accounts_revision(connection: Connection) -> int:
    """The number of the newest change of accounts, secrets or settings: others leave those as they were."""
    return int(connection.execute(select(tables.revision.c.accounts)).scalar_one())


def bump(connection: Connection, accounts: bool = True) -> int:
    """Count one more change, of `accounts`, secrets or settings, or only of the pool's state; the number it gets."""
    table = tables.revision
    following = table.c.value + 1
    values = {"value": following, "accounts": following} if accounts else {"value": following}
    connection.execute(update(table).values(values))
    return revision_of(connection)


def _make_file(places: Places) -> None:
    path = database_file(places)
    places.ensure_private(places.proxy)
    try:
        # SQLite gives its -wal and -shm files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened: closing it again would end the locks that SQLite has on it in this process.
        _check_file(path)
    except OSError as problem:
        raise SettingsError(f"{path} cannot be made ({problem.strerror}); make room for it there") from None


def _check_file(path: Path) -> None:
    for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        try:
            status = part.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise SettingsError(f"{part} is not a file of your own: move it away")
            if stat.S_IMODE(status.st_mode) != 0o600:
                part.chmod(0o600)
        except FileNotFoundError:
            continue


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        asked = make_url(url).query
        defaults = {name: value for name, value in _POSTGRES.items() if name not in asked}
        return create_engine(url, pool_size=2, pool_pre_ping=True, hide_parameters=True, connect_args=defaults)
    connect_args = {"timeout": BUSY_TIMEOUT, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, connect_args=connect_args)

    @event.listens_for(engine, "connect")
    def configure(connection, _: object) -> None:  # type: ignore[no-untyped-def] # the driver's own, sqlite3.Connection
        # The driver would begin transactions late and as readers; see `begin`.
        connection.isolation_level = None
        if connection.execute("PRAGMA auto_vacuum").fetchone() != _INCREMENTAL:
            # Only for a new file: even when nothing changes, setting it waits for whoever is writing.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        patience = connection.get_execution_options().get(_WRITING)
        # The last one to use this connection may have had less of it.
        connection.exec_driver_sql(f"PRAGMA busy_timeout={1000 * (patience or BUSY_TIMEOUT):.0f}")
        connection.exec_driver_sql("BEGIN" if patience is None else "BEGIN IMMEDIATE")

    return engine


def _begin_as_writer(connection: Connection, patience: float) -> None:
    """What BEGIN IMMEDIATE is to SQLite: one writer at a time, so that revisions are committed in their order."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{patience:g}s'")
    connection.exec_driver_sql("SELECT value FROM revision FOR UPDATE")


def _words(where: str, problem: SQLAlchemyError) -> str:
    if isinstance(problem, ArgumentError | NoSuchModuleError):
        return f"{DATABASE_VARIABLE}: write postgresql://<user>@host/database"
    # The driver's own words: those of SQLAlchemy hold the statement. A password is in neither.
    cause = str(getattr(problem, "orig", "") or type(problem).__name__).strip().partition("\n")[0]
    damaged = any(word in cause for word in ("not a database", "malformed"))
    fix = "; put a copy from backups/ beside it in its place, or move it away to begin anew" if damaged else ""
    return f"the database {where} cannot be used: {cause}{fix}"
