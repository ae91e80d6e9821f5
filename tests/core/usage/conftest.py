"""A real database for the history: SQLite in the test's home, and where one can be started PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.store.database import Database, open_database
from codemie_core.store.place import DATABASE_VARIABLE
from support.postgres import Postgres, running_postgres

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
SQLITE = {"CODEMIE_KEYRING": "0"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return dict(SQLITE)
    return {**SQLITE, DATABASE_VARIABLE: request.getfixturevalue("postgres").new_database()}


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def database(places: Places, environ: dict[str, str]) -> Iterator[Database]:
    """The same database, looked at from outside."""
    database = open_database(places, environ)
    yield database
    database.close()
