"""Settings that the admin API changed, as a start reads them: on both databases."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from codemie_core.places import Places
from codemie_core.store.database import Database
from codemie_core.store.place import DATABASE_VARIABLE
from codemie_core.store.settings import put_setting
from codemie_core.store.stored_settings import stored_settings


def test_without_a_database_there_are_none_and_none_is_made(places: Places) -> None:
    assert stored_settings(places, {}) == {}
    assert not places.proxy.exists()


def test_they_are_what_was_stored_but_those_that_proxies_read_themselves(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    with database.writing() as connection:
        put_setting(connection, "upstream_attempts.max_attempts", 5)
        put_setting(connection, "disabled", ["telemetry"])
        put_setting(connection, "account_rotation.strategy", "least-used")
    wanted = {"upstream_attempts.max_attempts": 5, "disabled": ["telemetry"]}
    assert stored_settings(places, environ) == wanted
    database.close()
    assert stored_settings(places, environ) == wanted


def test_they_are_read_while_somebody_writes(places: Places, environ: dict[str, str], database: Database) -> None:
    with database.writing() as connection:
        put_setting(connection, "disabled", ["telemetry"])
        assert stored_settings(places, environ) == {}


KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("CREATE TABLE settings (name TEXT, value TEXT)")
database.execute("INSERT INTO settings VALUES ('disabled', '[]')")
database.commit()
database.execute("PRAGMA cache_size = 1")
database.execute("UPDATE settings SET value = 'half'")
database.execute("CREATE TABLE further (x TEXT)")
database.executemany("INSERT INTO further VALUES (?)", [("x" * 500,)] * 2000)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_had_begun_is_taken_back(places: Places) -> None:
    places.ensure_private(places.proxy)
    subprocess.run([sys.executable, "-c", KILLED, places.proxy / "proxy.db"], check=False)
    assert (places.proxy / "proxy.db-journal").is_file()
    assert stored_settings(places, {}) == {"disabled": []}


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""], ids=["broken", "empty"])
def test_a_file_that_cannot_be_read_stops_no_start(
    places: Places, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    places.ensure_private(places.proxy)
    (places.proxy / "proxy.db").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert stored_settings(places, {}) == {}
    assert bool(caplog.messages) == bool(content)
    assert all("do not count" in line for line in caplog.messages)


def test_a_server_that_is_away_stops_no_start_and_its_password_is_not_told(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    url = "postgresql://ann:planted-secret@127.0.0.1:1/nothing"
    with caplog.at_level(logging.WARNING):
        assert stored_settings(places, {DATABASE_VARIABLE: url}) == {}
    assert "do not count" in caplog.text
    assert "planted-secret" not in caplog.text


def test_a_file_is_read_without_the_libraries_of_a_store(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.ensure_private(places.proxy)
    with closing(sqlite3.connect(places.proxy / "proxy.db")) as connection, connection:
        connection.execute("CREATE TABLE settings (name TEXT, value TEXT)")
        connection.execute("INSERT INTO settings VALUES ('disabled', '[\"telemetry\"]')")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.setitem(sys.modules, "codemie_core.store.database", None)
    assert stored_settings(places, {}) == {"disabled": ["telemetry"]}
