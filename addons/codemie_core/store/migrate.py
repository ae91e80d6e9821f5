"""Bringing the tables up to date at start, one process at a time, with a copy of an existing SQLite file first."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import database_file

MIGRATIONS = Path(__file__).parent / "migrations"
KEPT_BACKUPS = 3
_LOCK_PATIENCE = 60.0
_ADVISORY_LOCK = 0x636F64656D6965
"""PostgreSQL's name for our lock: "codemie" in ASCII."""


def known_versions() -> list[str]:
    """The versions this program knows, oldest first."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))


def up_to_date(engine: Engine, places: Places, clock: Callable[[], float] = time.time) -> str:
    """Migrate if need be. Returns why the database may only be read, "" when it may be written."""
    known = known_versions()
    # The first connection to an SQLite file already writes to it (WAL): even that is done by one at a time.
    with _alone(engine, places):
        if (version := _version(engine)) == known[-1]:
            return ""
        if version is not None and version not in known:
            return (
                f"the database has tables of version {version}, newer than this proxy's {known[-1]}: "
                "nothing is written to it; update codemie-proxy"
            )
        if version is not None and engine.dialect.name == "sqlite":
            _back_up(places, version, clock)
        with engine.connect() as plain:
            connection = plain.execution_options(codemie_writing=_LOCK_PATIENCE)
            with connection.begin():
                _upgrade(connection)
    return ""


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("select version_num from alembic_version")).scalar()
        return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    # It tells each step on INFO, its own import the first, and mitmproxy shows that to whoever starts it.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine, places: Places) -> Iterator[None]:
    if engine.dialect.name != "sqlite":
        with engine.connect() as connection:
            connection.execute(text(f"set local lock_timeout = '{_LOCK_PATIENCE:g}s'"))
            connection.execute(text("select pg_advisory_xact_lock(:name)"), {"name": _ADVISORY_LOCK})
            yield
        return
    path = places.proxy / "proxy.db.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    until = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise SettingsError(f"another proxy holds {path} for a minute now: end it and try again") from None
            time.sleep(0.05)
        else:
            return


def _back_up(places: Places, version: str, clock: Callable[[], float]) -> None:
    folder = places.proxy / "backups"
    places.ensure_private(folder)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock()))
    target = folder / f"proxy-{stamp}-{version}.db"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as unfinished:
            whole = Path(unfinished) / target.name
            os.close(os.open(whole, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(database_file(places))) as source, closing(sqlite3.connect(whole)) as copy:
                source.backup(copy)
            os.replace(whole, target)
    except (OSError, sqlite3.Error) as problem:
        raise SettingsError(f"{folder} takes no copy of the database ({problem}), so it is left as it is") from None
    others = sorted(path for path in folder.glob("proxy-*.db") if path != target)
    for old in others[: -(KEPT_BACKUPS - 1)]:
        old.unlink(missing_ok=True)
