"""Small works for the store's thread, and what came of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from codemie_core.store.database import Database
from codemie_core.store.settings import load_settings, put_setting


def put(name: str) -> Callable[[Connection], None]:
    """Stores a setting of this name."""

    def work(connection: Connection) -> None:
        put_setting(connection, name, name)

    return work


def names(database: Database) -> set[str]:
    """Of the settings that are stored."""
    with database.reading() as connection:
        return set(load_settings(connection))


def eventually(met: Callable[[], object], timeout: float = 60.0) -> float:
    """Seconds until it was."""
    begun = time.monotonic()
    while not met():
        assert time.monotonic() - begun < timeout
        time.sleep(0.005)
    return time.monotonic() - begun


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said that is more than information."""
    # psycopg says now and then what it passes over.
    ours = (record for record in caplog.records if not record.name.startswith("psycopg"))
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
