"""Bringing tables up to date: a copy first, one process at a time."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import migrate
from codemie_core.store.database import open_database
from codemie_core.store.place import database_file
from support.elsewhere import elsewhere, outcomes
from support.stored import StoredHome

PLANTED = "planted-secret-of-an-account"
SECOND = """
from time import sleep
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9998", "{newest}"


def upgrade() -> None:
    op.create_table("second", sa.Column("id", sa.Integer, primary_key=True))
    sleep(0.2)
    op.execute("insert into second values (1)")
"""
MIGRATE = """
from pathlib import Path
from codemie_core.store import migrate
migrate.MIGRATIONS = Path(sys.argv[1])
open_database(places, os.environ).close()
"""
SQLITE = {"CODEMIE_KEYRING": "0"}
NEWEST = migrate.known_versions()[-1]


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations with one more."""
    shutil.copytree(migrate.MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations/versions/v9998_second.py").write_text(SECOND.replace("{newest}", NEWEST))
    return tmp_path / "migrations"


def backups(places: Places) -> list[Path]:
    return sorted((places.proxy / "backups").glob("*"))


def test_a_new_file_needs_no_copy_and_an_up_to_date_one_neither(places: Places) -> None:
    open_database(places, SQLITE).close()
    open_database(places, SQLITE).close()
    assert not (places.proxy / "backups").exists()


def test_before_a_migration_an_existing_file_is_copied_whole_with_secrets_only_sealed(
    places: Places, codemie_home: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = StoredHome(codemie_home, SQLITE)
    home.key("main", "https://api.example.com", PLANTED)
    # Not yet in the main file: the copy has to hold what is only in the WAL too.
    lingering = open_database(places, SQLITE)
    home.key("spare", "https://api.example.com", PLANTED)
    monkeypatch.setattr(migrate, "MIGRATIONS", newer)
    open_database(places, SQLITE, clock=lambda: 0.0).close()
    lingering.close()
    [copy] = backups(places)
    assert copy.name == f"proxy-19700101T000000Z-{NEWEST}.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert PLANTED.encode() not in copy.read_bytes()
    with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
        assert connection.execute("select name from accounts order by name").fetchall() == [("main",), ("spare",)]
        assert len(connection.execute("select sealed from account_secrets").fetchall()) == 2
        assert connection.execute("select version_num from alembic_version").fetchone() == (NEWEST,)
    assert home.secret("main") == PLANTED


def test_three_copies_are_kept(places: Places, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count(0, 60)
    for _ in range(5):
        open_database(places, SQLITE).close()
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "MIGRATIONS", newer)
            open_database(places, SQLITE, clock=lambda: next(seconds)).close()
        with closing(sqlite3.connect(database_file(places))) as connection:
            connection.executescript(f"drop table second; update alembic_version set version_num = '{NEWEST}'")
    assert [path.name[6:22] for path in backups(places)] == [f"19700101T000{minute}00Z" for minute in (2, 3, 4)]


def test_without_room_for_a_copy_nothing_is_migrated(
    places: Places, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(places, SQLITE).close()
    places.ensure_private(places.proxy / "backups")
    (places.proxy / f"backups/proxy-19700101T000000Z-{NEWEST}.db").mkdir()
    monkeypatch.setattr(migrate, "MIGRATIONS", newer)
    with pytest.raises(SettingsError, match="takes no copy of the database"):
        open_database(places, SQLITE, clock=lambda: 0.0)
    with closing(sqlite3.connect(database_file(places))) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == (NEWEST,)
    assert len(list((places.proxy / "backups").iterdir())) == 1


def test_processes_that_migrate_at_the_same_time_do_it_once(
    places: Places, environ: dict[str, str], newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(places, environ).close()
    outcomes([elsewhere(MIGRATE, environ, str(newer)) for _ in range(4)])
    monkeypatch.setattr(migrate, "MIGRATIONS", newer)
    database = open_database(places, environ)
    with database.reading() as connection:
        assert connection.execute(sa.text("select id from second")).fetchall() == [(1,)]
    assert len(backups(places)) == (1 if database.is_sqlite else 0)
    database.close()


def test_a_lock_held_for_ever_is_named(places: Places, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(places, SQLITE).close()
    monkeypatch.setattr(migrate, "_LOCK_PATIENCE", 0.1)
    engine = sa.create_engine("sqlite://")
    with migrate._alone(engine, places), pytest.raises(SettingsError, match=r"proxy\.db\.lock"):
        open_database(places, SQLITE)


def test_versions_are_ordered_files() -> None:
    assert migrate.known_versions()[0] == "0001"
    assert migrate.known_versions() == sorted(set(migrate.known_versions()))
