import sqlite3
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.doctor import storage
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.places import Places
from codemie_core.store.place import database_file
from support.patient import levels, surroundings, told
from support.stored import StoredHome

KEYLESS = {"CODEMIE_KEYRING": "0"}


def around(home: Path) -> Surroundings:
    return surroundings(home, **KEYLESS)


@pytest.fixture
def stored(codemie_home: Path) -> StoredHome:
    home = StoredHome(codemie_home)
    home.key("main", "https://api.anthropic.com", "planted-secret")
    return home


def set_version(home: Path, version: str) -> None:
    with sqlite3.connect(database_file(Places(home))) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_without_a_database_nothing_is_wrong_and_none_is_made(codemie_home: Path) -> None:
    assert levels([*storage.database(around(codemie_home)), *storage.vault(around(codemie_home))]) == ["ok", "ok"]
    assert not codemie_home.exists()


def test_a_database_and_a_vault_that_open_are_fine(stored: StoredHome, codemie_home: Path) -> None:
    assert levels(storage.database(around(codemie_home))) == ["ok"]
    (found,) = storage.vault(around(codemie_home))
    assert found.level == "ok"
    assert str(codemie_home / "proxy" / "vault.key") in found.what
    assert "planted" not in found.what


@pytest.mark.parametrize("version, level", [("9999", "problem"), ("0001", "note")])
def test_tables_of_another_version_are_told_and_left_as_they_are(
    version: str, level: str, stored: StoredHome, codemie_home: Path
) -> None:
    set_version(codemie_home, version)
    (found,) = storage.database(around(codemie_home))
    assert (found.level, version in found.what) == (level, True)
    assert told(storage.database(around(codemie_home))) == [(found.level, found.what)]


def test_a_file_that_is_no_database_is_a_problem(codemie_home: Path) -> None:
    places = Places(codemie_home)
    places.write_private(database_file(places), b"this is not a database, whatever its name says" * 100)
    assert levels(storage.database(around(codemie_home))) == ["problem"]
    assert levels(storage.vault(around(codemie_home))) == ["note"]


def test_a_vault_without_its_key_or_with_another_is_a_problem(stored: StoredHome, codemie_home: Path) -> None:
    key = codemie_home / "proxy" / "vault.key"
    text = key.read_text()
    key.unlink()
    assert levels(storage.vault(around(codemie_home))) == ["problem"]
    assert not key.exists()
    key.write_text(text)
    key.chmod(0o644)
    (found,) = storage.vault(around(codemie_home))
    assert (found.level, "may be read by others" in found.what) == ("problem", True)


def test_accounts_that_cannot_be_used_are_named_with_what_helps(stored: StoredHome, codemie_home: Path) -> None:
    stored.key("my work", "https://api.anthropic.com", "planted-other")
    assert told(storage.accounts(around(codemie_home))) == [("ok", "2 of 2 accounts can be used")]
    with sqlite3.connect(database_file(Places(codemie_home))) as connection:
        connection.execute("UPDATE accounts SET needs_login = 1 WHERE name = 'my work'")
    first, second = storage.accounts(around(codemie_home))
    assert (first.level, first.fix) == ("warning", "codemie-proxy auth login anthropic --name 'my work'")
    assert (second.level, second.what) == ("ok", "1 of 2 accounts can be used")
    with sqlite3.connect(database_file(Places(codemie_home))) as connection:
        connection.execute("UPDATE accounts SET paused = 'manual' WHERE name = 'main'")
    found = list(storage.accounts(around(codemie_home)))
    assert sorted(levels(found)) == ["note", "problem", "warning"]
    assert "codemie-proxy accounts resume main" in [one.fix for one in found]


def test_without_accounts_none_is_missed(codemie_home: Path) -> None:
    assert told(storage.accounts(around(codemie_home))) == [("ok", "no accounts: agents bring their own keys")]
    places = Places(codemie_home)
    places.write_private(database_file(places), b"no database" * 100)
    assert levels(storage.accounts(around(codemie_home))) == ["note"]


def test_an_address_that_is_none_is_told_from_a_server_that_does_not_answer(codemie_home: Path) -> None:
    (found,) = storage.database(surroundings(codemie_home, CODEMIE_DATABASE_URL="mysql://ann:planted@h/d"))
    assert (found.level, found.fix) == ("problem", "mend or unset CODEMIE_DATABASE_URL")


def test_a_server_that_does_not_answer_is_a_problem_without_its_password(codemie_home: Path) -> None:
    url = f"postgresql://ann:hunter2-planted@127.0.0.1:{closed_port()}/codemie"
    found = list(storage.database(surroundings(codemie_home, CODEMIE_DATABASE_URL=url)))
    assert levels(found) == ["problem"]
    assert "planted" not in str(found)
