"""A real database for the history: SQLite in the test's home, and where one can be started PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.store.database import Database, open_database
from support.both import BOTH, environ_of


@pytest.fixture(params=BOTH)
def environ(request: pytest.FixtureRequest, places: Places) -> Iterator[dict[str, str]]:
    yield from environ_of(request, places)


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def database(places: Places, environ: dict[str, str]) -> Iterator[Database]:
    """The same database, looked at from outside."""
    database = open_database(places, environ)
    yield database
    database.close()
