"""Tests that run on both databases: SQLite in the test's home, and where one can be started PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codemie_core.places import Places
from codemie_core.store.place import DATABASE_VARIABLE
from support.postgres import Postgres
from support.prepared import prepare_file, prepared_database

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def environ_of(request: pytest.FixtureRequest, places: Places) -> Iterator[dict[str, str]]:
    """What names the database of this parameter. It has its tables where the test asks for `database`."""
    environ = {"CODEMIE_KEYRING": "0"}
    opened = "database" in request.fixturenames
    if request.param == "sqlite":
        if opened:
            prepare_file(places)
        yield environ
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.lent_database(*([prepared_database(server)] if opened else [])) as url:
        yield {**environ, DATABASE_VARIABLE: url}
