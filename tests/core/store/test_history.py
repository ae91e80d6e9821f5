"""Writing the history: exact, once, and never stopped by one bad record."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest
import sqlalchemy as sa

from codemie_core.store import tables
from codemie_core.store.database import Database
from codemie_core.store.history import save_good_ones
from codemie_core.usage.record import Record
from codemie_core.usage.usage import Usage
from support.records import STARTED_MS, new_record, told, tool_use


def save(database: Database, *records: Record) -> int:
    with database.writing() as connection:
        return save_good_ones(connection, records)


def all_of(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def calls(database: Database) -> dict[tuple[str, int], bool | None]:
    return {(row["request_id"], row["n"]): row["ok"] for row in all_of(database, tables.tool_calls)}


def test_what_was_counted_is_read_back_to_the_last_digit(database: Database) -> None:
    assert save(database, new_record(id="one", tools=(tool_use("a"),))) == 0
    [row] = all_of(database, tables.requests)
    expected = {
        "id": "one",
        "started_ms": STARTED_MS,
        "model": "claude-sonnet-4-5-20250929",
        "branch": "main",
        "ok": True,
        "status": 200,
        "head_ms": 250.5,
        "first_byte_ms": 260.25,
        "tokens_per_second": 150.0,
        "input_tokens": 12,
        "cache_read_tokens": 30_000,
        "cache_write_1h_tokens": 100,
        "reasoning_tokens": None,
        "cost_nano_usd": 15_411_000,
        "cost_tools": None,
        "attempts": 1,
        "tool_calls": 1,
    }
    assert {name: row[name] for name in expected} == expected
    [attempt] = all_of(database, tables.attempts)
    assert (attempt["n"], attempt["account"], attempt["status"], attempt["ended_ms"]) == (1, "main", 200, 2500.0)
    [operation] = all_of(database, tables.file_operations)
    assert (operation["path"], operation["lines_added"], operation["lines_removed"]) == ("src/new.py", 10, 0)


def test_numbers_as_large_as_columns_are_kept(database: Database) -> None:
    assert save(database, new_record(usage=Usage(input=2**40, output=3), response_bytes=2**41)) == 0
    [row] = all_of(database, tables.requests)
    assert (row["input_tokens"], row["response_bytes"]) == (2**40, 2**41)


def test_saving_twice_is_saving_once(database: Database) -> None:
    records = [new_record(id=f"r{n}", tools=(tool_use(f"c{n}"),)) for n in range(20)]
    save(database, *records)
    before = {table: all_of(database, table) for table in (tables.requests, tables.tool_calls, tables.file_operations)}
    assert save(database, *records[10:], *records[:10], records[0]) == 0
    for table, rows in before.items():
        assert sorted(map(repr, all_of(database, table))) == sorted(map(repr, rows)), table.name


@pytest.mark.parametrize("together", [True, False])
def test_a_later_turn_tells_how_tools_went(database: Database, together: bool) -> None:
    first = new_record(id="first", tools=(tool_use("a"), tool_use("b", index=1), tool_use("c", index=2)))
    second = new_record(
        id="second", done=(told("a", True, "first"), told("b", False, "first"), told("c", None, "first"))
    )
    if together:
        save(database, first, second)
    else:
        save(database, first)
        save(database, second)
    assert calls(database) == {("first", 0): True, ("first", 1): False, ("first", 2): None}


def test_what_was_told_first_stays(database: Database) -> None:
    save(database, new_record(id="first", tools=(tool_use("a"),)), new_record(done=(told("a", False, "first"),)))
    save(database, new_record(done=(told("a", True, "first"),)))
    assert calls(database) == {("first", 0): False}


def test_a_call_of_a_turn_that_this_process_has_not_seen_is_found_by_its_conversation(database: Database) -> None:
    save(database, new_record(id="mine", tools=(tool_use("a"),)))
    save(database, new_record(id="other", conversation_id="another", tools=(tool_use("a"),)))
    save(database, new_record(done=(told("a", True),)))
    assert calls(database) == {("mine", 0): True, ("other", 0): None}


def test_calls_without_ids_are_told_by_name_in_their_order(database: Database) -> None:
    tools = (tool_use("", "read_file"), tool_use("", "write_file", index=1), tool_use("", "read_file", index=2))
    save(database, new_record(id="first", tools=tools))
    results = (
        told("", True, "first", "read_file"),
        told("", True, "first", "write_file"),
        told("", False, "first", "read_file"),
    )
    save(database, new_record(done=results))
    assert calls(database) == {("first", 0): True, ("first", 1): True, ("first", 2): False}


def test_the_same_id_in_another_turn_is_another_call(database: Database) -> None:
    save(database, new_record(id="first", tools=(tool_use("call_0"),)))
    save(database, new_record(id="second", tools=(tool_use("call_0"),)))
    save(database, new_record(done=(told("call_0", True, "second"),)))
    assert calls(database) == {("first", 0): None, ("second", 0): True}


def test_one_bad_record_takes_no_other_along(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    bad = new_record(id="bad", started_ms=None)
    assert save(database, new_record(id="a"), bad, new_record(id="b", tools=(tool_use("x"),))) == 1
    assert {row["id"] for row in all_of(database, tables.requests)} == {"a", "b"}
    assert len(all_of(database, tables.tool_calls)) == 1
    ours = [record for record in caplog.records if record.name.startswith("codemie_core")]
    [record] = [record for record in ours if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith("A turn was not stored: ")


def test_nonsense_of_strangers_is_stored_as_well_as_it_can_be(database: Database) -> None:
    # PostgreSQL packs what repeats itself before it finds an index too wide.
    dice = random.Random(1)
    nonsense = "\0\ud800" + "".join(chr(dice.randrange(0x4E00, 0x9000)) for _ in range(9_000))
    odd = new_record(
        id=nonsense,
        conversation_id=nonsense,
        session_id=nonsense,
        model_asked=nonsense,
        model_served="",
        account=nonsense,
        path=nonsense,
        usage=Usage(input=2**80, server_tools={nonsense: 3}),
        tools=(tool_use(nonsense, nonsense),),
        done=(told(nonsense, True),),
    )
    assert save(database, odd) == 0
    assert save(database, new_record(conversation_id=nonsense, done=(told(nonsense, True),))) == 0
    assert list(calls(database).values()) == [True]


def test_a_turn_that_is_deleted_takes_all_that_is_its_own_along(database: Database) -> None:
    save(database, new_record(id="one", tools=(tool_use("a"),)), new_record(id="two", tools=(tool_use("b"),)))
    with database.writing() as connection:
        connection.execute(sa.delete(tables.requests).where(tables.requests.c.id == "one"))
    for table in (tables.attempts, tables.tool_calls, tables.file_operations):
        assert {row["request_id"] for row in all_of(database, table)} == {"two"}, table.name
