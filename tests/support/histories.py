"""The history of a test, looked at from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from codemie_core.store import tables
from codemie_core.store.database import Database


def stored(database: Database) -> int:
    """How many turns are in it."""
    with database.reading() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(tables.requests)) or 0)


async def until(met: Callable[[], object], within: float = 60.0) -> None:
    """Wait until it is so. TimeoutError when it does not come."""
    async with asyncio.timeout(within):
        while not met():  # noqa: ASYNC110 - other threads do it
            await asyncio.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said that is more than information."""
    # psycopg says now and then what it passes over.
    ours = (record for record in caplog.records if not record.name.startswith("psycopg"))
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
