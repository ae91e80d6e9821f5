import json
import re
from pathlib import Path

import pytest

from codemie_core.cli.accounts_book import Book
from codemie_core.errors import SettingsError
from codemie_core.store.secrets import sealed_secret
from codemie_core.vault import Vault, VaultError
from support import accounts_cli
from support.cli import call


def status() -> dict[str, object]:
    found: dict[str, object] = json.loads(call("vault", "status", "--json").out)
    return found


@pytest.fixture
def file(codemie_home: Path) -> Path:
    """The key of a home with two accounts."""
    for name in ("main", "spare"):
        accounts_cli.add(name)
    return codemie_home / "proxy" / "vault.key"


def secret(name: str) -> str:
    book = Book()
    account_id = str(accounts_cli.shown(name)["id"])
    with book.writing() as connection:
        found = sealed_secret(connection, account_id)
        assert found is not None
        return book.vault(connection).open(found[0], f"account:{account_id}").get_secret_value()


def test_before_the_first_account_there_is_no_key_and_looking_makes_none(codemie_home: Path) -> None:
    outcome = call("vault", "status")
    assert (outcome.code, outcome.out.startswith("Nothing is sealed yet")) == (0, True)
    assert status() == {"place": None, "key": None, "since": None, "secrets": 0, "broken": [], "former": []}
    assert not codemie_home.exists()


def test_where_no_secret_is_in_the_vault_it_says_so_too() -> None:
    accounts_cli.call("add", "main", "--provider", "openai", "--env", "MY_KEY")
    assert call("vault", "status").out.startswith("Nothing is sealed yet")


def test_it_says_where_the_key_is_which_and_since_when_and_how_much_is_sealed(file: Path) -> None:
    key = json.loads(file.read_text())["current"]
    outcome = call("vault", "status")
    assert outcome.code == 0
    assert f"{key}, in {file}" in outcome.out
    assert "2 secrets, all of which open" in outcome.out
    shown = status()
    assert (shown["place"], shown["key"], shown["secrets"], shown["former"]) == (str(file), key, 2, [])
    assert str(shown["since"]).endswith("+00:00")
    assert re.search(r"^Since +\d{4}-\d\d-\d\d \d\d:\d\d$", outcome.out, re.MULTILINE)


def test_a_rotation_is_told_and_everything_opens(file: Path) -> None:
    before = status()["key"]
    outcome = call("vault", "rotate")
    after = status()
    assert outcome.code == 0
    assert outcome.out == f"2 secrets sealed with the new key {after['key']}, which is in {file}\n"
    assert "Running proxies notice within a second." in outcome.err
    assert "copy" not in outcome.err.partition("copies of the database")[2]
    assert (after["former"], after["broken"]) == ([before], [])
    assert [secret(name) for name in ("main", "spare")] == [accounts_cli.SECRET] * 2
    [event] = [one for one in json.loads(accounts_cli.call("events", "--json").stdout) if "vault" in one["event"]]
    assert event["who"].endswith("command line")


def test_a_rotation_for_programs_is_one_object(file: Path) -> None:
    assert json.loads(call("vault", "rotate", "--json").out) == status()


def test_no_key_and_no_secret_is_ever_shown(file: Path) -> None:
    said = [
        call("vault", *arguments)
        for arguments in (("status",), ("rotate",), ("rotate", "--json"), ("status", "--json"))
    ]
    keys = json.loads(file.read_text())["keys"].values()
    assert not any(hidden in outcome.out + outcome.err for outcome in said for hidden in (*keys, accounts_cli.SECRET))


def test_without_accounts_there_is_nothing_to_rotate(codemie_home: Path) -> None:
    outcome = call("vault", "rotate")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "there are no accounts yet" in outcome.err
    assert not codemie_home.exists()


@pytest.mark.parametrize("command", ["status", "rotate"])
@pytest.mark.parametrize("wrong", ["missing", "other", "readable"])
def test_a_key_that_is_not_good_is_one_line_and_exit_code_1(file: Path, command: str, wrong: str) -> None:
    if wrong == "missing":
        file.unlink()
    elif wrong == "other":
        file.write_text(Vault.fresh().dump())
    else:
        file.chmod(0o644)
    outcome = call("vault", command)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert str(file) in outcome.err


def test_a_secret_that_does_not_open_is_named_with_the_fix(file: Path) -> None:
    book = Book()
    account_id = accounts_cli.shown("spare")["id"]
    with book.writing() as connection:
        connection.exec_driver_sql("update account_secrets set sealed = x'00' where account_id = ?", (account_id,))
    outcome = call("vault", "status")
    assert outcome.code == 1
    assert "spare: what is sealed for it does not open" in outcome.err
    assert "codemie-proxy accounts key spare" in outcome.err
    assert call("vault", "rotate").code == 1
    accounts_cli.call("key", "spare", typed="planted-key-2\n")
    assert call("vault", "rotate").code == 0
    assert secret("spare") == "planted-key-2"


def test_a_shared_database_needs_the_new_key_in_its_other_homes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from codemie_core.store import place

    monkeypatch.setenv(place.DATABASE_VARIABLE, "planted")
    # The database stays the one in the file: what is told does not depend on which one it is.
    monkeypatch.setattr("codemie_core.store.database.database_url", lambda *_: f"sqlite:///{file.parent / 'proxy.db'}")
    assert f"copy {file} to them" in call("vault", "rotate").err


@pytest.mark.parametrize("command", ["status", "rotate"])
def test_help_has_an_example(command: str) -> None:
    outcome = call("vault", command, "--help")
    assert f"Example: codemie-proxy vault {command}" in " ".join(outcome.out.split())


def test_errors_are_those_of_the_house() -> None:
    assert issubclass(VaultError, SettingsError)
