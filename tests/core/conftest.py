"""What tests of the core share."""

from collections.abc import Iterator

import pytest

from support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server; each test makes a database of its own in it. Who stops it starts it again."""
    with running_postgres() as server:
        yield server
