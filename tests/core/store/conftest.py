"""A real database for each test: SQLite in the test's home, and where one can be started PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.store.database import Database, open_database
from codemie_core.store.place import DATABASE_VARIABLE
from codemie_core.store.worker import StoreWorker
from support.postgres import Postgres, running_postgres
from support.stored import StoredHome

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server; each test makes a database of its own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment that names the database."""
    found = {"CODEMIE_KEYRING": "0"}
    if request.param == "postgres":
        found[DATABASE_VARIABLE] = request.getfixturevalue("postgres").new_database()
    return found


@pytest.fixture
def places(codemie_home: Path) -> Places:
    """The test's home."""
    return Places(codemie_home)


@pytest.fixture
def stored(codemie_home: Path, environ: dict[str, str]) -> StoredHome:
    """Its database, vault and accounts, to be asked from outside."""
    return StoredHome(codemie_home, environ)


@pytest.fixture
def database(places: Places, environ: dict[str, str]) -> Iterator[Database]:
    """Opened."""
    database = open_database(places, environ)
    yield database
    database.close()


@pytest.fixture
def worker(database: Database) -> Iterator[StoreWorker]:
    """At work; ended afterwards."""
    worker = StoreWorker(database)
    yield worker
    worker.close(1.0)
