"""A real database for each test: SQLite in the test's home, and where one can be started PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.store.database import Database, open_database
from codemie_core.store.worker import StoreWorker
from support.both import BOTH, environ_of
from support.stored import StoredHome


@pytest.fixture(params=BOTH)
def environ(request: pytest.FixtureRequest, places: Places) -> Iterator[dict[str, str]]:
    """The environment that names the database: an empty one, or a prepared one for whom it is opened."""
    yield from environ_of(request, places)


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
    worker.close(60.0)
