"""The store's thread: batches, patience with a database in trouble, and a bounded end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from mitmproxy.utils import asyncio_utils
from sqlalchemy import Connection

from codemie_core.places import Places
from codemie_core.store import database as store_database
from codemie_core.store import tables
from codemie_core.store import worker as store_worker
from codemie_core.store.database import Database, bump, open_database, revision_of
from codemie_core.store.place import DatabaseTrouble
from codemie_core.store.settings import load_settings, put_setting
from codemie_core.store.worker import StoreWorker
from support.elsewhere import elsewhere, end, outcomes
from support.works import eventually, names, put, warnings


async def test_a_call_gives_back_what_its_work_gives_or_raises(worker: StoreWorker, database: Database) -> None:
    assert await worker.call(bump) == 2
    assert await worker.call(revision_of, writing=False) == 2
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda connection: bump(connection) // 0)
    assert await worker.call(revision_of) == 2


async def test_calls_run_in_one_thread_and_never_on_the_loop(worker: StoreWorker) -> None:
    threads = await asyncio.gather(*(worker.call(lambda _: threading.current_thread().name) for _ in range(5)))
    assert set(threads) == {"store"}


async def test_a_call_is_done_although_its_caller_has_left(worker: StoreWorker, database: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        assert go.wait(60)
        put_setting(connection, "a", 1)

    caller = asyncio_utils.create_task(worker.call(slow), name="caller", keep_ref=True)
    assert await asyncio.to_thread(begun.wait, 60)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    assert await worker.call(load_settings) == {"a": 1}


def test_posted_work_is_done_soon(worker: StoreWorker, database: Database) -> None:
    worker.post(put("a"))
    eventually(lambda: not worker.waiting)
    assert names(database) == {"a"}


def test_posted_work_is_collected_for_a_while_and_done_in_one_transaction(
    worker: StoreWorker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is over with the end, and not before.
    monkeypatch.setattr(store_worker, "BATCH", 3600.0)
    commits: list[object] = []
    sa.event.listen(database._engine, "commit", commits.append)
    for number in range(10):
        worker.post(put(f"n{number}"))
        time.sleep(0.003)
    assert (worker.waiting, commits) == (10, [])
    assert worker.close(60.0)
    assert len(names(database)) == 10
    assert len(commits) == 1


def test_when_work_is_stored_for_good_it_is_told_in_the_order_of_posting(
    worker: StoreWorker, places: Places, environ: dict[str, str]
) -> None:
    told: list[tuple[str, bool]] = []
    other = open_database(places, environ)

    def telling(name: str) -> Callable[[], None]:
        return lambda: told.append((name, name in names(other)))

    for name in ("a", "b", "c"):
        worker.post(put(name), telling(name))
    eventually(lambda: len(told) == 3)
    assert told == [("a", True), ("b", True), ("c", True)]
    other.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in trouble is noticed soon, and tried again soon."""
    monkeypatch.setattr(store_worker, "PATIENCE", 0.1)
    monkeypatch.setattr(store_worker, "RETRY", 0.1)


@pytest.mark.usefixtures("impatient")
def test_what_is_not_stored_yet_is_not_told_and_told_once_in_the_end(
    worker: StoreWorker, places: Places, environ: dict[str, str]
) -> None:
    told: list[str] = []
    other = open_database(places, environ)
    with other.writing():
        worker.post(put("a"), lambda: told.append("a"))
        eventually(lambda: worker.trouble)
        assert not told
    eventually(lambda: told)
    eventually(lambda: not worker.waiting)
    assert told == ["a"]
    other.close()


def test_one_that_fails_is_told_too_for_it_is_not_tried_again(worker: StoreWorker) -> None:
    told: list[str] = []

    def broken(connection: Connection) -> None:
        raise ZeroDivisionError

    worker.post(broken, lambda: told.append("broken"))
    worker.post(put("a"), lambda: told.append("a"))
    eventually(lambda: len(told) == 2)
    assert told == ["broken", "a"]


def test_work_may_follow_work_without_waiting_for_a_collection(
    worker: StoreWorker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of them would take longer than `eventually` waits.
    monkeypatch.setattr(store_worker, "BATCH", 3600.0)
    rounds: list[int] = []

    def again() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 20:
            worker.post(put(f"n{len(rounds)}"), again, at_once=True)

    worker.post(put("n0"), again, at_once=True)
    eventually(lambda: len(rounds) == 20)
    assert len(names(database)) == 20


def test_one_that_fails_by_itself_takes_no_other_along(
    worker: StoreWorker, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(sa.insert(tables.account_secrets).values(account_id="nobody", sealed=b"", version=1))

    worker.post(put("a"))
    worker.post(broken)
    worker.post(put("b"))
    eventually(lambda: not worker.waiting)
    assert names(database) == {"a", "b"}
    [told] = warnings(caplog)
    assert told.startswith("A change was not stored")
    assert not worker.trouble


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_costs_one_warning_and_loses_nothing(
    places: Places, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_database, "BUSY_TIMEOUT", 0.1)
    database = open_database(places, environ)
    worker = StoreWorker(database)
    worker.on_revision(1, lambda _: None)  # reading goes on well meanwhile
    other = open_database(places, environ)
    with other.writing():
        worker.post(put("a"))
        eventually(lambda: worker.trouble)
        worker.post(put("b"))
        time.sleep(0.7)  # long enough for two more tries in vain
        assert worker.waiting == 2
        with pytest.raises(DatabaseTrouble):
            asyncio.run(worker.call(put("c")))
    eventually(lambda: not worker.waiting)
    assert names(other) == {"a", "b"}
    eventually(lambda: not worker.trouble)
    assert [words.partition(":")[0].partition(" /")[0][:22] for words in warnings(caplog)] == [
        "Not stored for now, tr",
        "The database postgresq" if not database.is_sqlite else "The database",
    ]
    assert worker.close()
    other.close()
    database.close()


async def test_who_calls_does_not_wait_long_behind_posted_work_that_waits_for_a_lock(
    worker: StoreWorker, places: Places, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_database, "BUSY_TIMEOUT", 300.0)
    monkeypatch.setattr(store_worker, "RETRY", 0.1)
    other = open_database(places, environ)
    with other.writing():
        worker.post(put("a"))
        await asyncio.sleep(0.2)  # it is waiting for the lock by now
        # Whoever waited for the lock would wait for good: it ends when this has been answered.
        async with asyncio.timeout(60):
            assert await worker.call(load_settings, writing=False) == {}
    eventually(lambda: not worker.waiting)
    assert names(other) == {"a"}
    other.close()


FULL_DISK = """
import logging, resource
from codemie_core.store.settings import load_settings, put_setting
from codemie_core.store import worker as module
from codemie_core.store.worker import StoreWorker
module.RETRY = 0.1
logging.basicConfig(stream=sys.stdout, format="%(message)s")
database = open_database(places, os.environ)
worker = StoreWorker(database)
names = [f"n{number}" for number in range(50)]
used = (places.proxy / "proxy.db-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (used + 20_000, resource.RLIM_INFINITY))
for name in names:
    worker.post(lambda connection, name=name: put_setting(connection, name, name * 2000))
def until(met):
    limit = time.monotonic() + 60
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.01)
until(lambda: worker.trouble)
time.sleep(0.5)
assert worker.waiting == 50, worker.waiting
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
until(lambda: not worker.waiting)
with database.reading() as connection:
    assert set(load_settings(connection)) == set(names)
until(lambda: not worker.trouble)
assert worker.close()
print("recovered")
"""


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_a_full_disk_costs_one_warning_and_loses_nothing(environ: dict[str, str]) -> None:
    [told] = outcomes([elsewhere(FULL_DISK, environ)])
    lines = told.splitlines()
    assert len(lines) == 3, told
    assert lines[0].startswith("Not stored for now, trying again: the database")
    assert lines[1].endswith("can be used again")
    assert lines[2] == "recovered"


def test_a_good_end_writes_what_is_left_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_worker, "LARGEST_BATCH", 100)
    monkeypatch.setattr(store_worker, "BATCH", 3600.0)
    worker = StoreWorker(database)
    for number in range(250):
        worker.post(put(f"n{number}"))
    assert worker.close(60.0)
    assert len(names(database)) == 250
    worker.post(put("late"))
    assert worker.waiting == 0


async def test_after_the_end_a_call_is_trouble(database: Database) -> None:
    worker = StoreWorker(database)
    worker.close()
    with pytest.raises(DatabaseTrouble, match="ending"):
        await worker.call(bump)


async def test_calls_made_before_the_end_are_answered(database: Database) -> None:
    worker = StoreWorker(database)
    calls = [asyncio.ensure_future(worker.call(bump)) for _ in range(20)]  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    assert await asyncio.to_thread(worker.close, 60.0)
    assert sorted(await asyncio.gather(*calls)) == list(range(2, 22))


def test_the_end_is_bounded_when_the_database_takes_nothing(
    places: Places, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    database, other = open_database(places, environ), open_database(places, environ)
    worker = StoreWorker(database)
    with other.writing():
        worker.post(put("a"))
        # Whoever waited for the database would wait for good.
        assert not worker.close(0.5)
    assert any("did not take what was left within 0.5 s" in words for words in warnings(caplog))
    eventually(lambda: not worker.waiting)  # it was already waiting for the lock, which it now got
    other.close()
    database.close()


def test_an_end_during_a_lock_that_goes_away_in_time_loses_nothing(places: Places, environ: dict[str, str]) -> None:
    database, other = open_database(places, environ), open_database(places, environ)
    worker = StoreWorker(database)
    with other.writing():
        worker.post(put("a"))
        closing = threading.Thread(target=worker.close, args=(60.0,))
        closing.start()
        time.sleep(0.3)
    closing.join(90)
    assert names(other) == {"a"}
    other.close()
    database.close()


def test_a_database_that_may_only_be_read_keeps_nothing_waiting(places: Places, environ: dict[str, str]) -> None:
    database = open_database(places, environ)
    with database.writing() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    database.close()
    newer = open_database(places, environ)
    worker = StoreWorker(newer)
    worker.post(put("a"))
    assert worker.waiting == 0
    assert asyncio.run(worker.call(revision_of, writing=False)) == 1
    assert worker.close()
    newer.close()


def test_a_change_of_another_process_is_told_soon(
    worker: StoreWorker, database: Database, environ: dict[str, str]
) -> None:
    assert store_worker.POLL <= 0.5
    program = """
    from codemie_core.store.settings import put_setting
    database = open_database(places, os.environ)
    for line in sys.stdin:
        with database.writing() as connection:
            put_setting(connection, "a", line)
        print("changed", flush=True)
    """
    heard: list[int] = []
    worker.on_revision(1, heard.append)
    other = elsewhere(program, environ)
    try:
        assert other.stdin is not None
        assert other.stdout is not None
        for change in range(3):
            other.stdin.write("x\n")
            other.stdin.flush()
            assert other.stdout.readline() == "changed\n"
            eventually(lambda: len(heard) > change)  # noqa: B023 - called at once
    finally:
        end(other)
    assert heard == [1, 2, 3]


@pytest.mark.usefixtures("impatient")
def test_a_callback_that_fails_is_called_again(
    worker: StoreWorker, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def callback(seen: int) -> None:
        heard.append(seen)
        if len(heard) == 1:
            raise DatabaseTrouble("no such luck")

    worker.on_revision(0, callback)
    eventually(lambda: len(heard) == 2)
    eventually(lambda: not worker.trouble)
    assert heard == [0, 0]
    assert warnings(caplog)[0].endswith("no such luck")
    assert len(warnings(caplog)) == 2


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for changes many times a second."""
    monkeypatch.setattr(store_worker, "POLL", 0.02)


@pytest.mark.usefixtures("often")
def test_nothing_new_is_not_told(worker: StoreWorker) -> None:
    heard: list[int] = []
    worker.on_revision(1, heard.append)
    time.sleep(0.2)
    assert heard == []


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("others", [False, True])
async def test_what_a_post_changed_itself_is_not_read_again(
    worker: StoreWorker, database: Database, others: bool
) -> None:
    heard: list[int] = []
    done: list[int] = []

    def work(connection: Connection) -> int:
        done.append(bump(connection))
        return done[-1]

    worker.on_revision(1, heard.append)
    await worker.call(lambda _: None)
    if others:
        with database.writing() as connection:
            bump(connection)
    worker.post(work)
    await asyncio.to_thread(eventually, lambda: done)
    if others:
        await asyncio.to_thread(eventually, lambda: heard)
    else:
        await asyncio.sleep(0.2)
        assert heard == []


def test_whoever_has_changed_something_has_it_seen_at_once(
    worker: StoreWorker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_worker, "POLL", 3600.0)
    seen: list[int] = []
    worker.on_revision(1, seen.append)
    worker.look()
    with database.writing() as connection:
        put_setting(connection, "a", 1)
    worker.look()
    eventually(lambda: seen)
