"""The history: nobody waits for it, and no turn is lost while memory lasts."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest
import sqlalchemy as sa

from codemie_core.places import Places
from codemie_core.store import tables, worker
from codemie_core.store.database import Database, open_database
from codemie_core.store.keeping import Keeping
from codemie_core.store.shared import take_store
from codemie_core.usage import history as module
from codemie_core.usage.history import History
from codemie_core.usage.record import Record
from support.elsewhere import elsewhere, end, outcomes
from support.histories import stored, until, warnings
from support.postgres import Postgres
from support.records import new_record, told, tool_use

SQLITE = {"CODEMIE_KEYRING": "0"}


async def test_turns_are_stored_soon_and_at_the_end_all_of_them(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    history = History(places, environ)
    history.begin()
    history.put(new_record(id="one", tools=(tool_use("a"),)))
    await until(lambda: stored(database) == 1)
    for _ in range(700):
        history.put(new_record())
    assert await history.end(60)
    assert stored(database) == 701
    assert history.shown() == {"stored": 701, "waiting": 0, "lost": 0}


async def test_without_a_database_it_makes_one_and_what_was_put_before_is_in_it(places: Places) -> None:
    history = History(places, SQLITE)
    history.put(new_record())
    assert not places.proxy.exists()
    history.begin()
    assert await history.end(60)
    database = open_database(places, SQLITE)
    assert stored(database) == 1
    database.close()


async def test_nobody_waits_for_the_database(places: Places, environ: dict[str, str], database: Database) -> None:
    history = History(places, environ)
    history.begin()
    await until(lambda: history._store)
    # Whoever waited for it would wait for good: it is free when all have been put.
    with database.writing():
        for number in range(3_000):
            history.put(new_record(tools=(tool_use(f"c{number}"),)))
        assert history.shown()["waiting"] == 3_000
    assert await history.end(60)
    assert stored(database) == 3_000


async def test_threads_may_put_at_the_same_time(places: Places, environ: dict[str, str], database: Database) -> None:
    history = History(places, environ)
    history.begin()

    def some() -> None:
        for _ in range(500):
            history.put(new_record())

    await asyncio.gather(*(asyncio.to_thread(some) for _ in range(6)))
    assert await history.end(60)
    assert stored(database) == history.stored == 3_000


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in trouble is noticed soon, and tried again soon."""
    monkeypatch.setattr(worker, "PATIENCE", 0.1)
    monkeypatch.setattr(worker, "RETRY", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_another_process_holds_for_long_costs_one_warning_and_no_turn(
    places: Places, environ: dict[str, str], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    holds = """
    database = open_database(places, os.environ)
    with database.writing() as connection:
        print("held", flush=True)
        sys.stdin.readline()
    """
    other = elsewhere(holds, environ)
    try:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "held\n"
        history = History(places, environ)
        history.begin()
        for number in range(1_000):
            history.put(new_record(id=f"r{number}"))
            if number % 100 == 0:
                await asyncio.sleep(0.05)
        await until(lambda: history.trouble)
        assert "cannot be used" in history.trouble
        assert history.shown()["waiting"] == 1_000
        store = await asyncio.to_thread(take_store, places, environ)
        assert store.worker.waiting == 1, "what waits in the store's thread must not grow"
        await asyncio.to_thread(store.release)
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        await until(lambda: stored(database) == 1_000)
        await until(lambda: not history.trouble)
    finally:
        end(other)
    assert await history.end(60)
    told_of = [line.partition(":")[0] for line in warnings(caplog)]
    assert told_of[0] == "Not stored for now, trying again"
    assert len(told_of) == 2, told_of


async def test_a_database_that_cannot_be_opened_yet_is_waited_for(
    places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.05)
    places.ensure_private(places.proxy)
    (places.proxy / "proxy.db").write_bytes(b"no database" * 500)
    history = History(places, SQLITE)
    history.begin()
    history.put(new_record())
    await until(lambda: history.trouble)
    await asyncio.sleep(0.3)
    (places.proxy / "proxy.db").unlink()
    await until(lambda: history.stored == 1)
    assert history.trouble == ""
    assert await history.end(60)
    assert [line[:30] for line in warnings(caplog)] == [
        "The history is not stored for ",
        "The database " + str(places.proxy)[:17],
    ]


FULL_DISK = """
import asyncio, logging, resource
from codemie_core.store import worker
from codemie_core.usage.history import History
from codemie_core.usage.record import Record
from support.records import new_record
logging.basicConfig(stream=sys.stdout, format="%(message)s")
worker.RETRY = 0.1
open_database(places, os.environ).close()
history = History(places, os.environ)
history.begin()
def until(met):
    limit = time.monotonic() + 60
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.01)
history.put(new_record())
until(lambda: history.stored == 1)
used = (places.proxy / "proxy.db-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (used + 20_000, resource.RLIM_INFINITY))
for number in range(2_000):
    history.put(new_record(id=f"r{number}"))
until(lambda: history.trouble)
time.sleep(0.7)
assert history.shown()["waiting"] == 2_000, history.shown()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
until(lambda: history.stored == 2_001)
until(lambda: not history.trouble)
assert asyncio.run(history.end(60))
database = open_database(places, os.environ)
with database.reading() as connection:
    print(connection.exec_driver_sql("select count(*) from requests").scalar())
"""


def test_a_full_disk_costs_one_warning_and_no_turn() -> None:
    [said] = outcomes([elsewhere(FULL_DISK, SQLITE)])
    lines = said.splitlines()
    assert len(lines) == 3, said
    assert lines[0].startswith("Not stored for now, trying again: the database")
    assert lines[1].endswith("can be used again")
    assert lines[2] == "2001"


KILLED = """
from codemie_core.usage.history import History
from codemie_core.usage.record import Record
from support.records import new_record, tool_use
history = History(places, os.environ)
history.begin()
number = 0
while True:
    history.put(new_record(id=f"{number:08}", tools=(tool_use(f"c{number}"),)))
    number += 1
    if number % 50 == 0:
        time.sleep(0.005)
        print(history.stored, flush=True)
"""


@pytest.mark.parametrize("enough", [300, 1_900])
def test_a_proxy_that_is_killed_loses_only_what_was_not_yet_stored(
    places: Places, environ: dict[str, str], enough: int
) -> None:
    process = elsewhere(KILLED, environ)
    try:
        assert process.stdout is not None
        while (told_stored := int(process.stdout.readline())) < enough:
            pass
    finally:
        end(process)
    database = open_database(places, environ)
    with database.reading() as connection:
        kept = sorted(connection.scalars(sa.select(tables.requests.c.id)))
        children = connection.scalar(sa.select(sa.func.count()).select_from(tables.tool_calls))
    database.close()
    assert len(kept) >= told_stored
    assert kept == [f"{number:08}" for number in range(len(kept))]
    assert children == len(kept)


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
async def test_twenty_thousand_turns_leave_no_memory_behind(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    history = History(places, environ)
    history.begin()
    last = ""
    for number in range(20_000):
        done = (told(f"call{number - 1}", True, last),) if last else ()
        last, tools = f"r{number}", (tool_use(f"call{number}"),)
        history.put(new_record(id=last, conversation_id=f"c{number % 50}", tools=tools, done=done))
        if number % 200 == 0:
            await asyncio.sleep(0.005)
    assert await history.end(60)
    assert history.shown() == {"stored": 20_000, "waiting": 0, "lost": 0}
    with database.reading() as connection:
        row = connection.execute(
            sa.select(
                sa.func.count(),
                sa.func.sum(tables.requests.c.cost_nano_usd),
                sa.func.sum(tables.requests.c.output_tokens),
            )
        ).one()
        calls = connection.scalar(sa.select(sa.func.count()).where(tables.tool_calls.c.ok.is_(True)))
    assert tuple(row) == (20_000, 20_000 * 15_411_000, 20_000 * 300)
    assert calls == 19_999
    assert sum(type(each) is Record for each in gc.get_objects()) < 2 * module.BATCH


async def test_one_turn_that_no_database_takes_takes_no_other_along(
    places: Places, environ: dict[str, str], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(places, environ)
    for number in range(20):
        history.put(new_record(id=f"r{number}", started_ms=None if number == 7 else 1))
    history.begin()
    await until(lambda: history.shown().get("refused") == 1)
    assert await history.end(60)
    assert stored(database) == history.stored == 19
    assert [line.partition(":")[0] for line in warnings(caplog)] == ["A turn was not stored"]


async def test_when_memory_does_not_last_turns_are_lost_and_counted(
    places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    history = History(places, SQLITE)
    for _ in range(25):
        history.put(new_record())
    assert (history.shown()["waiting"], history.lost) == (10, 15)
    assert len([line for line in warnings(caplog) if "losing turns" in line]) == 1
    history.begin()
    assert await history.end(60)
    assert history.stored == 10


async def test_long_arguments_of_tools_do_not_wait_with_their_turn(places: Places) -> None:
    history = History(places, SQLITE)
    long = tool_use("a")
    long = replace(long, call=replace(long.call, arguments="x" * 10_000))
    history.put(new_record(tools=(long,)))
    assert history._records[0].tools[0].call.arguments == ""
    assert history._records[0].tools[0].files == long.files


async def test_the_end_is_bounded_and_tells_what_is_missing(
    places: Places, environ: dict[str, str], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(places, environ)
    history.begin()
    await until(lambda: history._store)
    # Whoever waited for the database would wait for good: it is free when the end has come.
    with database.writing():
        history.put(new_record())
        async with asyncio.timeout(60):
            assert not await history.end(0.5)
    assert any("1 turns are missing in the history: " in line for line in warnings(caplog))


@pytest.mark.parametrize("environ", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_restarts_costs_no_turn(
    places: Places, environ: dict[str, str], database: Database, postgres: Postgres
) -> None:
    history = History(places, environ)
    history.begin()
    history.put(new_record(id="before"))
    await until(lambda: history.stored == 1)
    await asyncio.to_thread(postgres.stop)
    try:
        for _ in range(600):
            history.put(new_record())
        await until(lambda: history.trouble)
    finally:
        await asyncio.to_thread(postgres.start)
    await until(lambda: history.stored == 601 and not history.trouble)
    assert await history.end(60)
    assert stored(database) == 601


async def test_a_database_of_a_newer_version_keeps_nothing_and_nothing_waits(
    places: Places, environ: dict[str, str], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    history = History(places, environ, Keeping())
    history.put(new_record())
    history.begin()
    await until(lambda: history._store)
    history.put(new_record())
    assert history.shown()["waiting"] == 0
    assert "update codemie-proxy" in str(history.shown()["trouble"])
    assert await history.end(60)
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("library", ["sqlalchemy", "alembic"])
def test_without_its_library_it_says_so_once_and_nothing_waits(library: str) -> None:
    program = """
        for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "codemie_core"))]:
            del sys.modules[name]
        import asyncio, logging
        from codemie_core.places import Places
        from codemie_core.usage.history import History
        from support.records import new_record
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        sys.modules[sys.argv[1]] = None
        history = History(Places.from_env(os.environ), os.environ)
        history.put(new_record())
        history.begin()
        history._opener.join(60)
        history.put(new_record())
        assert history.shown()["waiting"] == 0
        assert "pip install" in history.trouble
        assert asyncio.run(history.end(60))
    """
    [said] = outcomes([elsewhere(program, SQLITE, library)])
    assert said.startswith("No history is kept: ")
    assert said.endswith(f" {library}: pip install 'codemie-proxy[store]'")
    assert len(said.splitlines()) == 1


async def test_another_part_of_the_proxy_shares_its_thread_and_may_leave_first(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    store = await asyncio.to_thread(take_store, places, environ)
    history = History(places, environ)
    history.begin()
    await until(lambda: history._store)
    assert history._store is store
    await asyncio.to_thread(store.release)
    history.put(new_record())
    assert await history.end(60)
    assert stored(database) == 1


async def test_what_is_old_goes_while_it_works(
    places: Places, environ: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SWEEP", 0.05)
    history = History(places, environ, Keeping(), clock=lambda: new_record().started_ms / 1000 + 91 * 86_400)
    for _ in range(300):
        history.put(new_record())
    history.put(new_record(id="new", started_ms=new_record().started_ms + 2 * 86_400_000))
    monkeypatch.setattr("codemie_core.store.retention.INTERVAL", 0.05)
    history.begin()
    await until(lambda: history.stored == 301 and stored(database) == 1)
    history.keep(Keeping(seconds=1.0))
    await until(lambda: stored(database) == 0)
    assert await history.end(60)
