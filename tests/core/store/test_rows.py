"""A record as rows: whatever strangers wrote, both databases take it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from codemie_core.store import tables
from codemie_core.store.rows import LONGEST, LONGEST_NAME, MOST_TOOLS, Row, Rows, name_of
from codemie_core.usage.cost import Cost
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.usage import Usage
from support.records import new_record, told, tool_use

EXPECTED = {
    "id": "one",
    "conversation_id": "conversation",
    "agent": "claude",
    "path": "/v1/messages",
    "model": "claude-sonnet-4-5-20250929",
    "branch": "main",
    "status": 200,
    "terminal": "complete",
    "ok": True,
    "streamed": True,
    "request_bytes": 20_000,
    "head_ms": 250.5,
    "total_ms": 2500.0,
    "tokens_per_second": 150.0,
    "input_tokens": 12,
    "output_tokens": 300,
    "cost_nano_usd": 15_411_000,
    "cost_output": 4_500_000,
    "price_version": "genai-prices 0.2.3",
    "stop_reason": "tool_use",
    "refusal": False,
    "prompts": 1,
    "attempts": 1,
    "tool_calls": 0,
}


def named(table: sa.Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """With the columns' names."""
    return [dict(zip(table.columns.keys(), row, strict=True)) for row in rows]


def request_of(**changes: object) -> dict[str, Any]:
    [row] = named(tables.requests, rows_of(**changes).requests)
    return row


def rows_of(**changes: object) -> Rows:
    rows = Rows()
    rows.add(new_record(**changes))
    return rows


def test_every_column_has_its_value() -> None:
    rows = rows_of(tools=(tool_use("a"),))
    for table in (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations):
        assert len(named(table, getattr(rows, table.name))) == 1, table.name
    found = request_of(id="one")
    assert {name: found[name] for name in EXPECTED} == EXPECTED


def test_unknown_is_null_and_never_zero() -> None:
    row = request_of(usage=Usage(), cost=Cost(), status=None, first_token_ms=None, last_token_ms=None)
    for name in ("input_tokens", "output_tokens", "cost_nano_usd", "cost_tools", "status", "first_token_ms"):
        assert row[name] is None, name
    assert row["tokens_per_second"] is None
    assert row["server_tools"] is None
    row = request_of(usage=Usage(input=0, output=0), cost=Cost(0, "free"))
    assert (row["input_tokens"], row["output_tokens"], row["cost_nano_usd"]) == (0, 0, 0)


def test_a_tool_that_nobody_told_of_is_unknown() -> None:
    rows = rows_of(tools=(tool_use("a"),), done=(told("b", None), told("c", False)))
    assert [row["ok"] for row in named(tables.tool_calls, rows.tool_calls)] == [None]
    assert [one.call_id for _, one in rows.done] == ["c"]


def test_each_file_of_each_tool_has_its_place() -> None:
    two = tool_use("b", "MultiEdit", FileOperation("edit", "x.py"), FileOperation("edit", "y.py"), index=1)
    rows = rows_of(tools=(tool_use("a"), two))
    assert [(row["n"], row["part"], row["path"]) for row in named(tables.file_operations, rows.file_operations)] == [
        (0, 0, "src/new.py"),
        (1, 0, "x.py"),
        (1, 1, "y.py"),
    ]


def test_neither_arguments_nor_queries_are_kept() -> None:
    rows = rows_of(path="/v1beta/models/gemini:generateContent?key=planted-key", tools=(tool_use("a"),))
    assert "planted" not in repr(rows)
    assert "file_path" not in repr(rows)


def test_nonsense_of_strangers_becomes_something_a_column_takes() -> None:
    row = request_of(
        model_served="\0mod\ud800el" + "x" * 5_000,
        error="e" * 10_000,
        usage=Usage(input=2**62, output=-(2**62), server_tools={"t\0" * 3: 1, "huge": 2**80}),
        status=2**40,
        total_ms=float("nan"),
        head_ms=float("inf"),
    )
    assert row["model_served"] == "mod?el" + "x" * (LONGEST_NAME - 7)
    assert row["model"] == row["model_served"]
    assert len(row["error"]) == LONGEST
    assert row["input_tokens"] is row["output_tokens"] is row["status"] is row["head_ms"] is None
    assert row["total_ms"] == 0.0
    assert json.loads(row["server_tools"]) == {"ttt": 1}


def test_server_tools_are_bounded() -> None:
    row = request_of(usage=Usage(server_tools={f"tool{n}": n for n in range(1_000)}))
    assert len(json.loads(row["server_tools"])) == MOST_TOOLS


def test_a_name_that_needs_nothing_done_is_left_as_it_is() -> None:
    assert name_of("claude-sonnet-4-5") == "claude-sonnet-4-5"
    assert name_of("größe") == "größe"
