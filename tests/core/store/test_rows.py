"""A record as rows: whatever strangers wrote, both databases take it."""

from __future__ import annotations

import json

from codemie_core.store import tables
from codemie_core.store.rows import LONGEST, LONGEST_NAME, MOST_TOOLS, Rows, name_of
from codemie_core.usage.cost import Cost
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.usage import Usage
from support.records import new_record, told, tool_use


def rows_of(**changes: object) -> Rows:
    rows = Rows()
    rows.add(new_record(**changes))
    return rows


def test_every_column_has_its_value() -> None:
    rows = rows_of(tools=(tool_use("a"),))
    for table in (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations):
        [row] = getattr(rows, table.name)
        assert set(row) == {column.name for column in table.columns}, table.name


def test_unknown_is_null_and_never_zero() -> None:
    [row] = rows_of(usage=Usage(), cost=Cost(), status=None, first_token_ms=None, last_token_ms=None).requests
    for name in ("input_tokens", "output_tokens", "cost_nano_usd", "cost_tools", "status", "first_token_ms"):
        assert row[name] is None, name
    assert row["tokens_per_second"] is None
    assert row["server_tools"] is None
    [row] = rows_of(usage=Usage(input=0, output=0), cost=Cost(0, "free")).requests
    assert (row["input_tokens"], row["output_tokens"], row["cost_nano_usd"]) == (0, 0, 0)


def test_a_tool_that_nobody_told_of_is_unknown() -> None:
    rows = rows_of(tools=(tool_use("a"),), done=(told("b", None), told("c", False)))
    assert [row["ok"] for row in rows.tool_calls] == [None]
    assert [one.call_id for _, one in rows.done] == ["c"]


def test_each_file_of_each_tool_has_its_place() -> None:
    two = tool_use("b", "MultiEdit", FileOperation("edit", "x.py"), FileOperation("edit", "y.py"), index=1)
    rows = rows_of(tools=(tool_use("a"), two))
    assert [(row["n"], row["part"], row["path"]) for row in rows.file_operations] == [
        (0, 0, "src/new.py"),
        (1, 0, "x.py"),
        (1, 1, "y.py"),
    ]


def test_neither_arguments_nor_queries_are_kept() -> None:
    rows = rows_of(path="/v1beta/models/gemini:generateContent?key=planted-key", tools=(tool_use("a"),))
    assert "planted" not in repr(rows)
    assert "file_path" not in repr(rows)


def test_nonsense_of_strangers_becomes_something_a_column_takes() -> None:
    [row] = rows_of(
        model_served="\0mod\ud800el" + "x" * 5_000,
        error="e" * 10_000,
        usage=Usage(input=2**70, output=-(2**70), server_tools={"t\0" * 3: 1, "huge": 2**80}),
        status=2**40,
        total_ms=float("nan"),
        head_ms=float("inf"),
    ).requests
    assert row["model_served"] == "mod?el" + "x" * (LONGEST_NAME - 7)
    assert row["model"] == row["model_served"]
    assert len(row["error"]) == LONGEST
    assert row["input_tokens"] is row["output_tokens"] is row["status"] is row["head_ms"] is None
    assert row["total_ms"] == 0.0
    assert json.loads(row["server_tools"]) == {"ttt": 1}


def test_server_tools_are_bounded() -> None:
    [row] = rows_of(usage=Usage(server_tools={f"tool{n}": n for n in range(1_000)})).requests
    assert len(json.loads(row["server_tools"])) == MOST_TOOLS


def test_a_name_that_needs_nothing_done_is_left_as_it_is() -> None:
    assert name_of("claude-sonnet-4-5") == "claude-sonnet-4-5"
    assert name_of("größe") == "größe"
