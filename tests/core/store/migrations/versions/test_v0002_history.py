"""The second version: what the first one holds stays, and proxies of both versions know where they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import migrate, tables
from codemie_core.store.database import open_database
from codemie_core.store.history import save_records
from codemie_core.store.place import database_file
from support.records import new_record
from support.stored import StoredHome

NEW = {"requests", "attempts", "tool_calls", "file_operations", "payloads", "metrics_batches", "metrics_records"}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The migrations as a proxy of the first version has them."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder)
    for later in (folder / "versions").glob("v000[2-9]*.py"):
        later.unlink()
    return folder


def test_a_newer_proxy_brings_the_tables_of_an_older_one_up_to_date(
    codemie_home: Path, environ: dict[str, str], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = StoredHome(codemie_home, environ)
    with monkeypatch.context() as first:
        first.setattr(migrate, "MIGRATIONS", older)
        home.key("main", "https://api.example.com", "planted-key")
        with home.database() as database, database.reading() as connection:
            assert not NEW & set(sa.inspect(connection).get_table_names())
    with home.database() as database:
        with database.reading() as connection:
            assert set(sa.inspect(connection).get_table_names()) >= NEW
        with database.writing() as connection:
            save_records(connection, [new_record()])
        copies = len(list((codemie_home / "proxy/backups").glob("*-0001.db")))
        assert copies == (1 if database.is_sqlite else 0)
    assert [account.name for account in home.accounts()] == ["main"]
    assert home.secret("main") == "planted-key"


def test_an_older_proxy_reads_its_accounts_and_writes_nothing(
    codemie_home: Path, environ: dict[str, str], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = StoredHome(codemie_home, environ)
    home.key("main", "https://api.example.com", "planted-key")
    home.write(lambda connection: save_records(connection, [new_record()]))
    with monkeypatch.context() as first:
        first.setattr(migrate, "MIGRATIONS", older)
        with home.database() as database:
            assert "newer than this proxy's 0001" in database.read_only_because
            with pytest.raises(SettingsError, match="update codemie-proxy"), database.writing():
                pass
        assert [account.name for account in home.accounts()] == ["main"]
    assert home.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(tables.requests))) == 1


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_a_file_of_the_first_version_can_give_pages_back_without_being_rebuilt(
    codemie_home: Path, environ: dict[str, str], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(codemie_home)
    with monkeypatch.context() as first:
        first.setattr(migrate, "MIGRATIONS", older)
        open_database(places, environ).close()
    assert database_file(places).is_file()
    database = open_database(places, environ)
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == 2
    database.close()
