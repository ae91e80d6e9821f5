"""One database and one thread for all of a process; the last one to leave ends them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

import pytest
from sqlalchemy import Connection

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import shared
from codemie_core.store.database import open_database
from codemie_core.store.place import DatabaseTrouble, database_file
from codemie_core.store.settings import load_settings, put_setting
from codemie_core.store.shared import take_store
from support.elsewhere import elsewhere, outcomes


@pytest.fixture(autouse=True)
def nothing_stays_open() -> object:
    """Whatever a test takes it gives back."""
    before = list(shared._open)
    yield
    assert list(shared._open) == before


def put(connection: Connection) -> None:
    put_setting(connection, "a", 1)


def test_whoever_takes_it_gets_the_same_one(places: Places, environ: dict[str, str]) -> None:
    first, second = take_store(places, environ), take_store(Places(places.home), dict(environ))
    assert first is second
    assert first.worker is second.worker
    assert first.release()
    assert asyncio.run(second.worker.call(load_settings, writing=False)) == {}
    assert second.release()


def test_another_home_has_another_one(places: Places) -> None:
    sqlite = {"CODEMIE_KEYRING": "0"}
    first, second = take_store(places, sqlite), take_store(Places(places.home / "other"), sqlite)
    assert first is not second
    first.release()
    second.release()


def test_the_last_one_stores_what_all_have_posted(places: Places, environ: dict[str, str]) -> None:
    first, second = take_store(places, environ), take_store(places, environ)
    second.worker.post(put)
    worker = first.worker
    assert second.release()
    assert first.release()
    with pytest.raises(DatabaseTrouble, match="ending"):
        asyncio.run(worker.call(load_settings))
    database = open_database(places, environ)
    with database.reading() as connection:
        assert load_settings(connection) == {"a": 1}
    database.close()


def test_after_the_last_one_it_is_opened_anew(places: Places, environ: dict[str, str]) -> None:
    first = take_store(places, environ)
    first.release()
    again = take_store(places, environ)
    assert again is not first
    assert asyncio.run(again.worker.call(load_settings, writing=False)) == {}
    again.release()


def test_those_who_come_at_the_same_time_open_it_once(places: Places, environ: dict[str, str]) -> None:
    barrier, found = threading.Barrier(8), []

    def take() -> None:
        barrier.wait(60)
        found.append(take_store(places, environ))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    for store in found:
        assert store.release()


def test_what_cannot_be_opened_is_not_remembered(places: Places) -> None:
    environ = {"CODEMIE_KEYRING": "0"}
    places.ensure_private(places.proxy)
    (places.proxy / "proxy.db").write_bytes(b"no database" * 500)
    with pytest.raises(SettingsError, match="cannot be used"):
        take_store(places, environ)
    (places.proxy / "proxy.db").unlink()
    take_store(places, environ).release()


def test_it_is_nobodys_before_somebody_needs_a_database() -> None:
    program = """
        for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "codemie_core"))]:
            del sys.modules[name]
        import codemie_core.store.shared, codemie_core.usage.history
        print(*sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic"}))
    """
    assert outcomes([elsewhere(program, {})]) == [""]


def test_a_database_that_is_known_to_take_nothing_is_not_waited_for_long(places: Places) -> None:
    store = take_store(places, {"CODEMIE_KEYRING": "0"})
    other = sqlite3.connect(database_file(places), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store.worker.post(put)
    deadline = time.monotonic() + 60
    while not store.worker.trouble:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    assert not store.release(600.0)
    assert time.monotonic() - began < 60
    other.close()
