import pytest

from codemie_core.store import tables
from codemie_core.store.database import Database
from codemie_core.store.filters import Filter
from codemie_core.store.history import save_records
from codemie_core.store.requests import Place, every, one, page, place_of, that_begin
from codemie_core.usage.record import AttemptRecord
from support import turn_rows
from support.records import new_record, told, tool_use
from support.turn_rows import NOW, new_turn

IDS = tables.requests.c.id
TURNS = turn_rows.random_turns(3, 130)


@pytest.fixture
def history(database: Database) -> Database:
    # Many began in the same millisecond.
    for number, turn in enumerate(TURNS):
        turn["started_ms"] = NOW - number // 7
    with database.writing() as connection:
        turn_rows.store(connection, TURNS)
    return database


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("asked", [Filter(), Filter(status="error"), Filter(models=("opus", "haiku"), accounts=("",))])
def test_pages_hold_each_turn_once_and_in_order(history: Database, asked: Filter, oldest_first: bool) -> None:
    wanted = sorted(turn_rows.matching(TURNS, asked), key=lambda turn: (turn["started_ms"], turn["id"]))
    found: list[str] = []
    after: Place | None = None
    with history.reading() as connection:
        while rows := page(connection, asked, after, 7, oldest_first=oldest_first):
            found += [row["id"] for row in rows]
            after = place_of(rows[-1])
    assert found == [turn["id"] for turn in (wanted if oldest_first else reversed(wanted))]


def test_a_turn_that_is_added_meanwhile_moves_no_page(history: Database) -> None:
    with history.reading() as connection:
        first = page(connection, limit=10)
        second = page(connection, after=place_of(first[-1]), limit=10)
    with history.writing() as connection:
        turn_rows.store(connection, [new_turn(999, started_ms=NOW + 1)])
    with history.reading() as connection:
        assert page(connection, after=place_of(first[-1]), limit=10) == second
        assert page(connection, limit=1)[0]["id"].endswith("999")


def test_a_turn_comes_with_its_attempts_tools_and_files(database: Database) -> None:
    failed = AttemptRecord(1, "main", "api.anthropic.com:443", 529, "status", 40.0, 41.0)
    served = AttemptRecord(2, "spare", "api.anthropic.com:443", 200, "", 250.0, 2500.0)
    record = new_record(tools=(tool_use("call-1"), tool_use("call-2", "Bash")), attempts=(failed, served))
    later = new_record(started_ms=record.started_ms + 1, done=(told("call-1", False, record.id),))
    with database.writing() as connection:
        save_records(connection, [record, later])
    with database.reading() as connection:
        found = one(connection, record.id)
        assert found is not None
        assert found.row["cost_nano_usd"] == 15_411_000
        assert [(each["n"], each["account"], each["status"]) for each in found.attempts] == [
            *((1, "main", 529), (2, "spare", 200))
        ]
        assert [(each["name"], each["ok"]) for each in found.tool_calls] == [("Write", False), ("Bash", None)]
        assert [each["path"] for each in found.file_operations] == ["src/new.py", "src/new.py"]
        assert one(connection, "no such") is None
    [turns] = every(database)
    assert [(turn.row["id"], len(turn.tool_calls)) for turn in turns] == [(record.id, 2), (later.id, 0)]


def test_all_turns_come_in_pages_oldest_first(history: Database) -> None:
    pages = list(every(history, size=50))
    assert [len(turns) for turns in pages] == [50, 50, 30]
    found = [turn.row["id"] for turns in pages for turn in turns]
    assert found == [turn["id"] for turn in sorted(TURNS, key=lambda turn: (turn["started_ms"], turn["id"]))]
    assert list(every(history, Filter(models=("no such",)))) == []
    assert [len(turns) for turns in every(history, size=130)] == [130]


def test_ids_are_found_by_how_they_begin(database: Database) -> None:
    with database.writing() as connection:
        turn_rows.store(connection, [new_turn(id=name) for name in ("ab1", "ab2", "ab2.1", "b_1", "bx1", "c%")])
    with database.reading() as connection:
        found = {start: that_begin(connection, IDS, start) for start in ("ab", "ab2", "ab2.", "b_", "c", "c%", "x", "")}
        assert found == {
            "ab": ["ab1", "ab2", "ab2.1"],
            "ab2": ["ab2"],
            "ab2.": ["ab2.1"],
            "b_": ["b_1"],
            "c": ["c%"],
            "c%": ["c%"],
            "x": [],
            "": ["ab1", "ab2", "ab2.1", "b_1", "bx1", "c%"],
        }
        assert that_begin(connection, IDS, "ab", limit=2) == ["ab1", "ab2"]
        assert that_begin(connection, tables.requests.c.session_id, "5e55") == ["5e551071-0000-4000-8000-000000000001"]
