"""Opening, reading and writing: private files, one writer at a time, and words without a password."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import database as store_database
from codemie_core.store import tables
from codemie_core.store.database import Database, accounts_revision, bump, open_database, revision_of
from codemie_core.store.place import DATABASE_VARIABLE, DatabaseTrouble, database_file
from codemie_core.store.settings import load_settings, put_setting
from support.elsewhere import elsewhere, end, outcomes
from support.postgres import PASSWORD, Postgres

HOLD = """
database = open_database(places, os.environ)
with database.writing() as connection:
    connection.exec_driver_sql("update settings set value = '2'")
    print("held", flush=True)
    sys.stdin.readline()
"""
KEEP_WRITING = """
from codemie_core.store.settings import put_setting
database = open_database(places, os.environ)
for number in range(100_000):
    with database.writing() as connection:
        put_setting(connection, f"row{number}", number)
        put_setting(connection, f"twin{number}", number)
    print(number, flush=True)
"""
COUNT_UP = """
from codemie_core.store import database as store
from codemie_core.store.settings import load_settings, put_setting
store.BUSY_TIMEOUT = 60.0
database = open_database(places, os.environ)
for number in range(50):
    with database.writing() as connection:
        found = load_settings(connection)["a"]
        time.sleep(0.001)
        put_setting(connection, "a", found + 1)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_for_their_owner_only_whatever_the_umask(places: Places) -> None:
    before = os.umask(0)
    try:
        database = open_database(places, {})
        with database.writing() as connection:
            bump(connection)
            modes = {path.name: mode(path) for path in places.proxy.iterdir()}
    finally:
        os.umask(before)
    database.close()
    assert modes == dict.fromkeys(["proxy.db", "proxy.db-wal", "proxy.db-shm", "proxy.db.lock"], 0o600)
    assert mode(places.proxy) == 0o700


def test_a_file_that_others_may_read_is_closed_to_them(places: Places) -> None:
    open_database(places, {}).close()
    database_file(places).chmod(0o664)
    places.proxy.chmod(0o755)
    open_database(places, {}).close()
    assert (mode(database_file(places)), mode(places.proxy)) == (0o600, 0o700)


def test_a_link_in_the_files_place_is_not_followed(places: Places, tmp_path: Path) -> None:
    places.ensure_private(places.proxy)
    database_file(places).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="move it away"):
        open_database(places, {})
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(places: Places) -> None:
    places.ensure_private(places.proxy)
    database_file(places).write_bytes(b"something else" * 1000)
    with pytest.raises(SettingsError, match=r"proxy\.db cannot be used: file is not a database; put a copy from back"):
        open_database(places, {})
    assert database_file(places).read_bytes() == b"something else" * 1000


def test_sqlite_is_set_up_for_several_processes(places: Places) -> None:
    database = open_database(places, {})
    asked = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout", "auto_vacuum")
    with database.reading() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked}
    database.close()
    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 1,  # NORMAL
        "busy_timeout": 10_000,
        "auto_vacuum": 2,  # INCREMENTAL
    }


def test_what_raises_is_undone(database: Database) -> None:
    def half(connection: sa.Connection) -> None:
        put_setting(connection, "a", 1)
        put_setting(connection, "b", object())

    with pytest.raises(TypeError, match="JSON"), database.writing() as connection:
        half(connection)
    with database.reading() as connection:
        assert load_settings(connection) == {}
        assert revision_of(connection) == 1


def test_revisions_tell_changes_of_accounts_from_those_of_the_pools_state(database: Database) -> None:
    with database.writing() as connection:
        assert bump(connection) == 2
        assert bump(connection, accounts=False) == 3
        assert (revision_of(connection), accounts_revision(connection)) == (3, 2)


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    with database.reading() as reader:
        assert load_settings(reader) == {}
        with database.writing() as writer:
            put_setting(writer, "a", 1)
        assert load_settings(reader) == {}
        assert revision_of(reader) == 1
    with database.reading() as reader:
        assert load_settings(reader) == {"a": 1}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time."""
    monkeypatch.setattr(store_database, "BUSY_TIMEOUT", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_writer_waits_for_another_process_before_it_reads_anything(
    database: Database, environ: dict[str, str]
) -> None:
    with database.writing() as connection:
        put_setting(connection, "a", 1)
    other = elsewhere(HOLD, environ)
    try:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with database.reading() as connection:
            assert load_settings(connection) == {"a": 1}
        other.stdin.write("\n")
        other.stdin.flush()
        with database.writing() as connection:
            assert load_settings(connection) == {"a": 2}
    finally:
        end(other)


def test_writers_that_first_read_take_turns(database: Database, environ: dict[str, str]) -> None:
    with database.writing() as connection:
        put_setting(connection, "a", 0)
    outcomes([elsewhere(COUNT_UP, environ) for _ in range(3)])
    with database.reading() as connection:
        assert load_settings(connection) == {"a": 150}
        assert revision_of(connection) == 152


def test_a_lock_that_does_not_go_away_is_trouble_and_passes(
    database: Database, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, places: Places
) -> None:
    monkeypatch.setattr(store_database, "BUSY_TIMEOUT", 0.2)
    impatient = open_database(places, environ)
    with database.writing(), pytest.raises(DatabaseTrouble, match="lock"), impatient.writing():
        pytest.fail("two writers at once")
    with impatient.writing() as connection:
        put_setting(connection, "a", 1)
    impatient.close()


def test_kill_9_in_the_middle_of_writes_loses_nothing_committed_and_keeps_nothing_half(
    database: Database, environ: dict[str, str]
) -> None:
    writer = elsewhere(KEEP_WRITING, environ)
    assert writer.stdout is not None
    last = -1
    while last < 150:
        last = int(writer.stdout.readline())
    writer.kill()
    rest, _ = writer.communicate(timeout=60)
    told = [last, *(int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n"))]
    with database.reading() as connection:
        found = load_settings(connection)
    assert set(range(told[-1] + 1)) <= set(found.values())
    assert {name.removeprefix("row") for name in found if name.startswith("row")} == {
        name.removeprefix("twin") for name in found if name.startswith("twin")
    }
    with database.writing() as connection:
        put_setting(connection, "after", True)


def test_a_database_of_a_newer_version_is_read_and_not_written(places: Places, environ: dict[str, str]) -> None:
    database = open_database(places, environ)
    with database.writing() as connection:
        put_setting(connection, "a", 1)
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    database.close()
    newer = open_database(places, environ)
    assert not newer.writable
    assert "9999" in newer.read_only_because
    assert "update codemie-proxy" in newer.read_only_because
    with newer.reading() as connection:
        assert load_settings(connection) == {"a": 1}
    with pytest.raises(SettingsError, match="newer"), newer.writing():
        pytest.fail("it may not be written")
    newer.close()


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_a_removed_parent_takes_its_rows_along_on_sqlite_too(database: Database) -> None:
    with database.reading() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.insert(tables.account_secrets).values(account_id="nobody", sealed=b"", version=1))


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name server is asked, and none knows a name."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.postgres
@pytest.mark.usefixtures("no_names")
def test_a_password_never_appears(postgres: Postgres, places: Places, caplog: pytest.LogCaptureFixture) -> None:
    right = {DATABASE_VARIABLE: postgres.new_database()}
    wrong = {DATABASE_VARIABLE: postgres.url(password="planted-wrong-password")}
    gone = {DATABASE_VARIABLE: f"postgresql://ann:{PASSWORD}@127.0.0.1:1/x"}
    nowhere = {DATABASE_VARIABLE: f"postgresql://ann:{PASSWORD}@nowhere.invalid/x"}
    strange = {DATABASE_VARIABLE: f"{postgres.url()}&nonsense=1"}
    told = []
    for environ in (wrong, gone, nowhere, strange):
        with pytest.raises(SettingsError) as refused:
            open_database(places, environ)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__
        told.append(str(refused.value))
    database = open_database(places, right)
    with pytest.raises(sa.exc.ProgrammingError) as mistake, database.writing() as connection:
        connection.execute(sa.text("select :secret from nowhere"), {"secret": PASSWORD})
    told += [repr(database), database.where, repr(database._engine), str(mistake.value), caplog.text]
    database.close()
    assert "password authentication failed" in told[0]
    assert not [words for words in told if PASSWORD in words or "planted-wrong" in words]


@pytest.mark.postgres
def test_a_server_that_went_away_is_trouble_and_passes(postgres: Postgres, places: Places) -> None:
    database = open_database(places, {DATABASE_VARIABLE: postgres.new_database()})
    postgres.stop()
    postgres.start()
    with database.writing() as connection:
        put_setting(connection, "a", 1)
    postgres.stop()
    try:
        with pytest.raises(DatabaseTrouble), database.reading():
            pytest.fail("there is no server")
    finally:
        postgres.start()
    with database.reading() as connection:
        assert load_settings(connection) == {"a": 1}
    database.close()


def test_two_programs_that_open_a_new_database_at_once_both_can(places: Places, environ: dict[str, str]) -> None:
    program = "open_database(places, os.environ).close(); print('opened')"
    assert outcomes([elsewhere(program, environ) for _ in range(6)]) == ["opened"] * 6
