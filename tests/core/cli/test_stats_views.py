import os
import time
from datetime import datetime

import pytest

from codemie_core.cli.history_book import HistoryBook
from support.cli import call
from support.history_cli import FAILED, keep, now_ms, refused, said, some_turns, table, told
from support.records import new_record, tool_use
from support.turn_rows import DAY, HOUR, new_turn


@pytest.fixture
def history() -> None:
    keep(some_turns())


def row(title: str, lines: list[str]) -> str:
    [found] = [line for line in lines if line.startswith(title)]
    return found.removeprefix(title).strip()


def test_the_page_shows_today_a_week_and_a_month(history: None) -> None:
    lines = table("stats", "--since", "1d")
    assert lines[0] == "Since 1d"
    assert row("Requests", lines) == "4"
    assert row("Errors", lines) == "1 (25%)"
    assert row("Cost", lines) == "$1.52 + ?"
    assert row("from cache", lines) == "98%"
    lines = table("stats")
    assert lines[0] == "Today 7 days 30 days"
    assert row("Requests", lines).split()[1:] == ["4", "5"]
    assert row("Cost", lines).endswith("$1.52 + ? $1.53 + ?")
    assert row("claude-sonnet-4-5-20250929", lines) == "4 1 (25%) 91.5k 98% 900 $1.53"
    assert row("local-model", lines) == "1 0 30.5k 98% 300 ?"
    assert row("spare", lines) == "1 0 30.5k 98% 300 $0.0154"
    assert "cost is not known" in call("stats").err


def test_the_page_for_programs(history: None) -> None:
    shown = told("stats")
    assert list(shown["periods"]) == ["today", "7_days", "30_days"]
    month = shown["periods"]["30_days"]
    assert (month["requests"], month["unpriced"], month["cost_usd"]) == (5, 1, 1.530822)
    assert month["latency_ms"]["p95"] == 2500.0
    assert [each["model"] for each in shown["models"]] == ["claude-sonnet-4-5-20250929", "local-model"]
    assert [each["project"] for each in shown["projects"]] == ["shop", None]


def test_of_each_kind_there_is_a_table(history: None) -> None:
    kinds = ["model", "account", "agent", "session", "conversation", "project", "branch", "key"]
    for kind in kinds:
        lines = table("stats", "--by", kind)
        assert (
            lines[0]
            == f"{kind.capitalize()} Requests Errors Read From cache Written Cost p50 / p95 First token p50 / p95"
        )
        shown = told("stats", "--by", kind)
        assert (shown["by"], len(shown["rows"])) == (kind, len(lines) - 1)
    branch = told("stats", "--by", "branch")["rows"]
    assert [(each["branch"], each["cost_usd"]) for each in branch] == [
        *(("EPM-1", 1.5), ("main", 0.030822), ("feature/x", None))
    ]
    assert len(table("stats", "--by", "branch", "--limit", "2")) == 3
    assert said("stats", "--by", "model", "--status", "error", "--agent", "codex") == "No turn matches.\n"


def test_what_is_only_refused_cost_nothing_that_is_not_known() -> None:
    keep([new_turn(1, started_ms=now_ms(), ok=False, status=429, **FAILED)])
    lines = table("stats", "--by", "model")
    assert lines[1].startswith("claude-sonnet-4-5-20250929 1 1 (100%) - - - - 2.5 s / 2.5 s -")
    assert call("stats", "--by", "model").err == ""


def test_a_series_has_a_row_for_each_stretch_of_time(history: None) -> None:
    while True:
        today = time.strftime("%Y-%m-%d 00:00")
        lines = table("stats", "--bucket", "1d", "--since", "14d")
        shown = told("stats", "--bucket", "24h", "--since", "14d")
        if today == time.strftime("%Y-%m-%d 00:00"):
            break  # else it has become midnight meanwhile
    assert len(lines) == 16
    assert lines[-1].startswith(f"{today} ")
    assert sum(int(line.split()[2]) for line in lines[1:]) == 5
    quiet = [line for line in lines[1:] if line.split()[2] == "0"]
    assert quiet[0].split()[2:] == ["0", "-", "-", "-", "-", "-", "-", "-"]
    assert [each["requests"] for each in shown["rows"]] == [int(line.split()[2]) for line in lines[1:]]
    assert (shown["bucket"], shown["until"]) == ("24h", None)
    assert told("stats", "--bucket", "1h", "--since", "2h")["rows"][-1]["latency_ms"]["count"] >= 0
    error = refused("stats", "--bucket", "1h", "--since", "99d")
    assert error == "--bucket 1h: more than 1000 buckets of 1h; ask for less time or for longer ones"


def test_tools_are_told_with_how_they_went() -> None:
    keep(records=[new_record(started_ms=now_ms(), tools=(tool_use("call-1"), tool_use("call-2", "Bash", index=1)))])
    assert table("stats", "--by", "tool") == ["Tool Calls Went well Failed Not told", "Bash 1 0 0 1", "Write 1 0 0 1"]
    assert told("stats", "--by", "tool")["rows"][0] == {
        **{"name": "Bash", "calls": 1, "ok": 0, "failed": 0, "unknown": 1, "requests": 1}
    }
    assert said("stats", "--by", "tool", "--status", "error") == "No tool was called.\n"


def test_one_command_tells_what_the_last_session_cost() -> None:
    turns = some_turns()
    keep(turns[:-1])
    lines = table("stats", "--last-session")
    assert lines[0] == "Session 5e551071-0000-4000-8000-000000000001"
    assert "Cost $1.52" in lines
    assert told("stats", "--last-session")["cost_usd"] == 1.515411
    keep(turns[-1:])
    lines = table("stats", "--last-session")
    assert (lines[0], "Cost ?" in lines) == ("Session 5e551072-0000-4000-8000-000000000002", True)
    assert table("stats", "--last-session", "--branch", "main")[0].startswith("Session 5e551071")
    assert said("stats", "--last-session", "--status", "error", "--agent", "codex") == "No turn matches.\n"


def test_today_begins_at_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 21, 13, 5)
    monkeypatch.setattr(HistoryBook.__init__, "__defaults__", (os.environ, now.timestamp))
    midnight = round(now.replace(hour=0, minute=0).timestamp() * 1000)
    keep(
        [
            new_turn(1, started_ms=midnight - 1),
            new_turn(2, started_ms=midnight),
            new_turn(3, started_ms=midnight - 8 * DAY + HOUR),
        ]
    )
    assert row("Requests", table("stats")) == "1 2 3"
