"""What a proxy reads of the database, and what keeps it from reading it."""

import logging
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from codemie_core.access.client_keys import KeyStore, keys_file
from codemie_core.accounts.loaded import load, open_store
from codemie_core.accounts.state import Cooldown
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.pool import save_changes
from codemie_core.store.settings import put_setting
from support.elsewhere import elsewhere, outcomes
from support.stored import StoredHome

ENVIRON = {"CODEMIE_KEYRING": "0"}
URL = "https://api.anthropic.com"


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def stored(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home, ENVIRON)


def test_all_that_is_there_is_read(stored: StoredHome) -> None:
    main = stored.key("main", URL, "planted-key")
    rest = Cooldown(main.id, "", 2_000.0, "limited", True, 0, 1_000.0)

    def write(connection: Connection) -> None:
        put_setting(connection, "account_rotation.strategy", "least-used")
        save_changes(connection, [rest])

    stored.write(write)
    found = stored.read(lambda connection: load(connection, None, 1_500.0))
    assert [account.name for account in found.accounts] == ["main"]
    assert found.settings == {"account_rotation.strategy": "least-used"}
    assert found.versions == {main.id: 1}
    assert found.keys.keys() == {main.id}
    assert found.state.cooldowns == [rest]
    assert found.checks.keys() == {stored.read(stored.vault).key_id}
    assert found.sealed
    assert found.revision > found.accounts_revision > 0


def test_of_the_pools_state_only_what_is_newer_is_read_again(stored: StoredHome) -> None:
    main = stored.key("main", URL, "planted-key")
    early, late = (Cooldown(main.id, model, 2_000.0, "limited", True, 0, 1_000.0) for model in ("early", "late"))
    stored.write(lambda connection: save_changes(connection, [early]))
    seen = stored.read(lambda connection: load(connection, None, 0.0)).revision
    stored.write(lambda connection: save_changes(connection, [late]))
    found = stored.read(lambda connection: load(connection, seen, 0.0))
    assert found.state.cooldowns == [late]
    assert [account.name for account in found.accounts] == ["main"]


def test_without_a_sealed_value_the_vault_is_not_needed(stored: StoredHome) -> None:
    stored.key("main", URL, "")
    assert not stored.read(lambda connection: load(connection, None, 0.0)).sealed


def client_keys(stored: StoredHome) -> list[str]:
    return stored.read(lambda connection: [row.name for row in connection.execute(tables.client_keys.select())])


def test_the_client_keys_are_copied(places: Places, stored: StoredHome) -> None:
    KeyStore(places).add("ann")
    open_store(places, ENVIRON).release()
    assert client_keys(stored) == ["ann"]


def test_a_database_that_is_locked_for_long_costs_the_copy_of_the_client_keys_and_no_start(
    places: Places, stored: StoredHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored.key("main", URL, "planted-key")
    KeyStore(places).add("ann")
    monkeypatch.setattr("codemie_core.store.database.BUSY_TIMEOUT", 0.05)
    opened = open_store(places, ENVIRON)
    with opened.database.writing() as locking:
        locking.execute(text("select 1"))
        store = open_store(places, ENVIRON)
        with store.database.reading() as connection:
            assert len(load(connection, None, 0.0).accounts) == 1
        store.release()
    opened.release()
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "The client keys were not copied into the database: " in warning.getMessage()
    assert "locked" in warning.getMessage()


def test_a_list_of_client_keys_that_cannot_be_read_is_the_door_keepers_business(
    places: Places, stored: StoredHome, caplog: pytest.LogCaptureFixture
) -> None:
    stored.key("main", URL, "planted-key")
    keys_file(places).write_text("nonsense")
    open_store(places, ENVIRON).release()
    assert "is no list of client keys" in caplog.text


@pytest.mark.parametrize("library", ["sqlalchemy", "alembic"])
def test_without_its_library_the_error_says_what_to_install(codemie_home: Path, library: str) -> None:
    program = """
        for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "codemie_core"))]:
            del sys.modules[name]
        sys.modules[sys.argv[1]] = None
        from codemie_core.accounts.loaded import open_store
        from codemie_core.errors import SettingsError
        from codemie_core.places import Places
        try:
            open_store(Places.from_env(os.environ), os.environ)
        except SettingsError as problem:
            print(problem)
    """
    [said] = outcomes([elsewhere(program, {**ENVIRON, "CODEMIE_HOME": str(codemie_home)}, library)])
    assert f" {library}: pip install 'codemie-proxy[store]'" in said


def test_a_file_that_is_no_database_is_refused(places: Places, stored: StoredHome) -> None:
    stored.key("main", URL, "planted-key")
    (places.proxy / "proxy.db").write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(SettingsError, match=r"proxy\.db cannot be used"):
        open_store(places, ENVIRON)
