import sqlite3

import pytest
from sqlalchemy import func, insert, select

from codemie_core.admin import maintenance
from codemie_core.admin.maintenance import cleanup, compact, reset_stats
from codemie_core.places import Places
from codemie_core.store import tables
from support.planes import noon, plane_of
from support.stored import StoredHome
from support.turn_rows import DAY, NOW, new_turn
from usage_metering import UsageMetering


def fill(home: StoredHome, days: list[int]) -> None:
    turns = [new_turn(number, started_ms=NOW - age * DAY) for number, age in enumerate(days)]
    payloads = [
        {"request_id": turn["id"], "at_ms": turn["started_ms"], "sealed": b"x" * 9000, "bytes": 9000} for turn in turns
    ]
    home.write(lambda connection: connection.execute(insert(tables.requests), turns))
    home.write(lambda connection: connection.execute(insert(tables.payloads), payloads))


def left(home: StoredHome) -> tuple[int, int]:
    counts = [select(func.count()).select_from(table) for table in (tables.requests, tables.payloads)]
    turns, payloads = (home.read(lambda c, q=query: c.execute(q).scalar_one()) for query in counts)  # type: ignore[misc] # a default binds the loop's value
    return turns, payloads


@pytest.fixture
def home(places: Places) -> StoredHome:
    return StoredHome(places.home)


async def test_what_is_older_than_the_retention_goes_and_is_counted(home: StoredHome) -> None:
    fill(home, [0, 2, 5, 91, 92])
    async with plane_of(UsageMetering()) as room:
        done = await cleanup(room.plane, "dashboard")
    assert (done.removed_payloads, done.removed_requests, done.more) == (4, 2, False)
    assert left(home) == (3, 1)
    assert done.cutoff_iso == "2026-08-06T15:30:00.000Z"
    assert [(event.event, event.reason, event.who) for event in home.events()] == [
        ("cleanup", "2 requests, 4 payloads", "dashboard")
    ]


async def test_free_pages_go_back_to_the_disk(home: StoredHome, places: Places) -> None:
    fill(home, [0] * 300)
    home.write(lambda connection: connection.execute(tables.requests.delete()))
    async with plane_of() as room:
        done = await compact(room.plane, "dashboard")
    assert done.bytes_before is not None
    assert done.bytes_after is not None
    assert done.bytes_before - done.bytes_after > 2_000_000
    with sqlite3.connect(places.proxy / "proxy.db") as database:
        assert database.execute("PRAGMA freelist_count").fetchone()[0] < 10


async def test_a_reset_forgets_all_turns_and_no_account(home: StoredHome) -> None:
    home.key("main", "https://api.test", "planted")
    fill(home, [0, 2, 200])
    async with plane_of() as room:
        done = await reset_stats(room.plane, "dashboard")
    assert (done.success, done.message) == (True, "3 requests are forgotten.")
    assert left(home) == (0, 0)
    assert len(home.accounts()) == 1


async def test_more_than_fits_into_the_time_is_told(home: StoredHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "PATIENCE", -1.0)
    fill(home, [200] * 120)
    async with plane_of(UsageMetering()) as room:
        assert (await cleanup(room.plane, "dashboard")).more
        assert not (await reset_stats(room.plane, "dashboard")).success
    assert 0 < left(home)[0] < 120


async def test_where_there_is_no_database_none_is_made(places: Places) -> None:
    async with plane_of(clock=noon) as room:
        assert (await cleanup(room.plane, "dashboard")).removed_requests == 0
        assert (await compact(room.plane, "dashboard")).bytes_before is None
        assert (await reset_stats(room.plane, "dashboard")).success
    assert not (places.proxy / "proxy.db").exists()
