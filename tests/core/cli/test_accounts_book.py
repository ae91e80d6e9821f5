from pathlib import Path

import pytest

from codemie_core.accounts.roster import one
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.errors import SettingsError
from support.accounts_cli import add


def test_asking_whether_there_is_a_store_makes_none(codemie_home: Path) -> None:
    book = Book()
    assert not book.begun
    with pytest.raises(SettingsError, match="there are no accounts yet"), book.reading():
        pass
    with pytest.raises(SettingsError, match="there are no accounts yet"), book.writing():
        pass
    assert not codemie_home.exists()


def test_a_change_that_fails_half_way_changes_nothing() -> None:
    from codemie_core.store.accounts import change_account

    add("main")

    def half(book: Book) -> None:
        with book.writing() as connection:
            change_account(connection, one(connection, "main").id, "paused", "", "test", paused="")
            raise SettingsError("something else is wrong")

    with pytest.raises(SettingsError, match="something else"):
        half(Book())
    with Book().reading() as connection:
        assert one(connection, "main").paused is None


def test_the_vault_is_made_once_and_its_check_is_kept() -> None:
    from codemie_core.store.secrets import vault_checks

    book = Book()
    with book.writing(make=True) as connection:
        made = book.vault(connection)
        assert vault_checks(connection).keys() == {made.key_id}
        assert book.vault(connection).key_id == made.key_id


def test_a_setting_of_the_environment_stands_above_the_file(codemie_home: Path) -> None:
    file = codemie_home / "proxy" / "codemie.yaml"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text("upstream_attempts: {ca_file: /file.pem}\n")
    environ = {"CODEMIE_HOME": str(codemie_home)}
    assert Book(environ).setting("upstream_attempts", "ca_file") == ("/file.pem", str(file))
    assert Book(environ).setting("upstream_attempts", "nothing") == ("", "")
    variable = "CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE"
    assert Book(environ | {variable: "/env.pem"}).setting("upstream_attempts", "ca_file") == ("/env.pem", variable)


def test_the_place_of_the_store_is_shown_without_a_password(codemie_home: Path) -> None:
    home = {"CODEMIE_HOME": str(codemie_home)}
    assert Book(home).place == str(codemie_home / "proxy" / "proxy.db")
    url = "postgresql://ann:planted@db.example.com/codemie"
    assert Book(home | {"CODEMIE_DATABASE_URL": url}).place.endswith("//ann@db.example.com/codemie")


def test_the_audit_trail_names_who_sits_at_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert operator() == "ann, command line"

    def nobody() -> str:
        raise KeyError("no such user id")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator() == "command line"
