"""What is old goes, and what is too much: exactly that, in short steps."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from codemie_core.store import retention, tables
from codemie_core.store.database import Database
from codemie_core.store.history import save_records
from codemie_core.store.keeping import Keeping
from codemie_core.store.payloads import Payload, pack, save_payloads
from codemie_core.store.place import database_file
from codemie_core.store.retention import AIM, FEWEST, INTERVAL, MOST, PAUSE, Sweeper
from codemie_core.vault import Vault
from support.records import STARTED_MS, new_record, tool_use
from support.works import eventually

DAY = 86_400.0
NOW = STARTED_MS / 1000 + 100 * DAY
FOR_EVER = Keeping(0, 0, 0)


def fill(database: Database, count: int, every: float = DAY, payloads: int = 0) -> None:
    """Turns, the oldest 100 days old; the first of them with payloads of about 4 KB each."""
    records = [
        new_record(id=f"{n:06}", started_ms=int(STARTED_MS + n * every * 1000), tools=(tool_use(f"c{n}"),))
        for n in range(count)
    ]
    vault = Vault.fresh()
    with database.writing() as connection:
        save_records(connection, records)
        for n in range(payloads):
            payload = Payload.of(records[n].started_ms, 100_000)
            payload.request("".join(f"{(n * 7919 + word * 104729) % 1_000_003} " for word in range(1_500)).encode())
            save_payloads(connection, vault, [pack(f"{n:06}", payload)])


def sweep(database: Database, sweeper: Sweeper) -> list[int]:
    """A whole round; how many rows went in each step."""
    steps = []
    for _ in range(5_000):
        before = sweeper.deleted
        with database.writing() as connection:
            after = sweeper(connection)
        steps.append(sweeper.deleted - before)
        if after > PAUSE:
            assert 0.8 * INTERVAL < after < 1.2 * INTERVAL
            return steps
    raise AssertionError("it does not end")


def sweeper_of(keeping: Keeping) -> Sweeper:
    return Sweeper(keeping, lambda: NOW)


def ids(database: Database, table: sa.Table) -> list[str]:
    column = table.c.id if table is tables.requests else table.c.request_id
    with database.reading() as connection:
        return sorted(connection.scalars(sa.select(column)))


def numbers(of: Iterable[int]) -> list[str]:
    return [f"{n:06}" for n in of]


def test_turns_go_when_they_are_old_with_all_that_is_theirs(database: Database) -> None:
    fill(database, 100, payloads=3)
    sweeper = sweeper_of(Keeping(90 * DAY, 0, 0))
    sweep(database, sweeper)
    for table in (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations):
        assert ids(database, table) == numbers(range(10, 100)), table.name
    assert ids(database, tables.payloads) == []
    assert sweeper.deleted == 10


def test_payloads_go_earlier_than_their_turns(database: Database) -> None:
    fill(database, 5, payloads=5)
    sweep(database, sweeper_of(Keeping(0, 0, 97.5 * DAY)))
    assert ids(database, tables.payloads) == numbers(range(3, 5))
    assert len(ids(database, tables.requests)) == 5


def test_without_bounds_all_is_kept(database: Database) -> None:
    fill(database, 20, payloads=2)
    sweeper = sweeper_of(FOR_EVER)
    sweep(database, sweeper)
    assert (len(ids(database, tables.requests)), len(ids(database, tables.payloads))) == (20, 2)
    assert sweeper.deleted == 0


def used(database: Database) -> int:
    with database.reading() as connection:
        return retention._used(connection)


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_when_it_is_too_large_payloads_go_first_and_then_the_oldest_turns(database: Database) -> None:
    fill(database, 2_000, 60.0, payloads=100)
    large = used(database)
    sweep(database, sweeper_of(Keeping(0, large - 200_000, 0)))
    left = ids(database, tables.payloads)
    assert 0 < len(left) < 100
    assert left == numbers(range(100 - len(left), 100))
    assert len(ids(database, tables.requests)) == 2_000
    sweep(database, sweeper_of(Keeping(0, large // 2, 0)))
    assert ids(database, tables.payloads) == []
    turns = ids(database, tables.requests)
    assert 500 < len(turns) < 2_000
    assert turns == numbers(range(2_000 - len(turns), 2_000))
    assert used(database) <= large // 2


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_a_step_that_comes_late_gives_something_back_all_the_same(database: Database) -> None:
    fill(database, 4_000, 60.0)
    with database.writing() as connection:
        connection.execute(sa.delete(tables.requests))
    with database.writing() as connection:
        before = retention._free(connection)
        assert retention.give_back(connection, until=0.0)
        assert retention._free(connection) == before - 1


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_what_is_deleted_is_given_back_to_the_disk(database: Database, places: object) -> None:
    fill(database, 4_000, 60.0)
    with database.reading() as connection:
        before = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    sweep(database, sweeper_of(Keeping(97.5 * DAY, 0, 0)))
    with database.reading() as connection:
        after = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    assert free <= retention.SLACK
    assert after < 0.6 * before
    database.close()
    assert database_file(places).stat().st_size == after * 4096  # type: ignore[arg-type] # the fixture's own


def counted(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.text(retention._SIZE)).scalar_one())


@pytest.mark.parametrize("environ", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_a_server_counts_turns_and_deletes_no_more_than_are_too_many(database: Database) -> None:
    fill(database, 1_000, 60.0)
    eventually(lambda: counted(database) == 1_000)
    sweep(database, sweeper_of(Keeping(0, 600 * retention.BYTES_PER_TURN, 0)))
    assert ids(database, tables.requests) == numbers(range(400, 1_000))


@pytest.mark.parametrize("environ", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_on_a_server_payloads_go_first_too(database: Database) -> None:
    fill(database, 50, payloads=50)
    eventually(lambda: counted(database) == 50)
    sweep(database, sweeper_of(Keeping(0, 50 * retention.BYTES_PER_TURN + 100_000, 0)))
    assert 0 < len(ids(database, tables.payloads)) < 50
    assert len(ids(database, tables.requests)) == 50
    sweep(database, sweeper_of(Keeping(0, 30 * retention.BYTES_PER_TURN, 0)))
    assert ids(database, tables.payloads) == []
    assert ids(database, tables.requests) == numbers(range(20, 50))


@pytest.mark.parametrize(
    ("rows_in_time", "rows"), [(1, FEWEST), (40, 40), (10_000, MOST)], ids=["slow", "as it should be", "quick"]
)
def test_a_step_deletes_what_fits_into_its_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, rows_in_time: int, rows: int
) -> None:
    """The clock stands still but for what is deleted: the steps are as long on a busy machine, too."""
    now, oldest = 0.0, Sweeper._oldest

    def taking_time(*given: Any, **named: Any) -> int:
        nonlocal now
        gone = oldest(*given, **named)
        now += gone * AIM / rows_in_time
        return gone

    fill(database, 2_000, 60.0)
    monkeypatch.setattr(Sweeper, "_oldest", taking_time)
    monkeypatch.setattr(retention, "time", SimpleNamespace(perf_counter=lambda: now))
    *steps, last, _ = sweep(database, sweeper_of(Keeping(99 * DAY, 0, 0)))
    assert (sum(steps) + last, len(ids(database, tables.requests))) == (1_440, 560)
    assert steps[5:] == pytest.approx([rows] * len(steps[5:]), abs=2)
    assert max(steps) <= MOST
