"""Databases that the migrations have made once. Tests get copies: to make one takes longer than most do with it."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from codemie_core.places import Places
from codemie_core.store import migrate
from codemie_core.store.database import open_database
from codemie_core.store.place import DATABASE_VARIABLE, database_file
from support.postgres import Postgres

_MIGRATIONS = migrate.MIGRATIONS


def prepare_file(places: Places) -> None:
    """An SQLite file in this home, as `open_database` makes it; none where a test has other migrations."""
    if migrate.MIGRATIONS != _MIGRATIONS:
        return
    places.ensure_private(places.proxy)
    file = database_file(places)
    file.touch(0o600)
    file.write_bytes(_file())


@functools.cache
def prepared_database(server: Postgres) -> str:
    """The name of one in this server that has all tables."""
    name = "prepared"
    server.run(f"create database {name}")
    with tempfile.TemporaryDirectory() as home:
        open_database(Places(Path(home)), {DATABASE_VARIABLE: server.url(name)}).close()
    return name


@functools.cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as home:
        places = Places(Path(home))
        open_database(places, {}).close()
        return database_file(places).read_bytes()
