import pytest

from codemie_core.cli.sessions_views import FILES
from codemie_core.usage.operation import FileOperation
from support.cli import call
from support.history_cli import OTHER, SESSION, keep, now_ms, refused, said, some_turns, table, told
from support.records import new_record, tool_use


def test_the_list_has_the_one_used_last_at_the_top() -> None:
    keep(some_turns())
    lines = table("sessions")
    assert lines[0] == ("Id Last used Lasted Agent Project Branch Requests Errors Read From cache Written Cost")
    assert [line.split()[0] for line in lines[1:]] == ["5e551072", "5e551071", "5e551073"]
    assert lines[1].endswith("2.5 s codex - feature/x 1 0 30.5k 98% 300 ?")
    assert lines[2].endswith("6.5 s claude shop EPM-1, ... 3 1 (33%) 61k 98% 600 $1.52")
    assert "cost is not known" in call("sessions").err
    assert len(table("sessions", "--limit", "1")) == 2
    assert said("sessions", "--status", "error", "--agent", "codex") == "No turn matches.\n"


def test_a_filter_counts_only_what_passes_it() -> None:
    keep(some_turns())
    assert [(each["id"], each["cost_usd"]) for each in told("sessions", "--branch", "EPM-1")] == [(SESSION, 1.5)]
    assert [each["several"] for each in told("sessions", "--since", "1d")] == [[], ["account", "branch"]]
    assert told("sessions")[0]["project"] is None


def test_one_session_is_told_with_models_branches_tools_and_files() -> None:
    edits = [FileOperation("edit", f"file-{n:02}.py", "py", "Python", 2, 1) for n in range(FILES + 2)]
    tools = [tool_use(f"call-{n}", "Edit", edit, index=n) for n, edit in enumerate(edits)]
    keep(some_turns(), [new_record(session_id=SESSION, started_ms=now_ms(), tools=tuple(tools), model_served="opus")])
    lines = table("sessions", "show", "5e551071")
    assert lines[0] == f"Session {SESSION}"
    assert "Branch main, EPM-1" in lines or "Branch EPM-1, main" in lines
    assert "Account several" in lines
    assert "Requests 4, 1 (25%) failed, 4 prompts, 12 tool calls" in lines
    assert "Tokens 91.5k read (98% from cache), 900 written" in lines
    assert "Answer 2.5 s / 2.5 s (p50 / p95)" in lines
    assert "Cost $1.53" in lines
    assert "opus 1 0 30.5k 98% 300 $0.0154" in lines
    assert "EPM-1 1 0 30.5k 98% 300 $1.50" in lines
    assert "Edit 12 0 0 12" in lines
    assert "file-00.py Python 1 +2 -1" in lines
    assert lines[-1] == "and 2 files more"
    shown = told("sessions", "show", SESSION)
    assert (shown["cost_usd"], len(shown["files"]), len(shown["models"])) == (1.530822, FILES + 2, 2)
    assert sorted(shown["branches"]) == ["EPM-1", "main"]


def test_the_last_one_needs_no_id_and_an_unknown_cost_is_not_nothing() -> None:
    keep(some_turns())
    lines = table("sessions", "show", "last")
    assert lines[0] == f"Session {OTHER}"
    assert "Cost ?" in lines
    assert not [line for line in lines if line.startswith("Project")]
    assert told("sessions", "show", "last")["cost_usd"] is None


def test_a_session_that_is_not_there_is_an_error() -> None:
    assert refused("sessions", "show", "last").startswith("there is no history yet")
    keep(some_turns())
    assert refused("sessions", "show", "nobody") == "there is no session 'nobody'; codemie-proxy sessions shows them"
    assert refused("sessions", "show", "5e55").startswith("several sessions begin with '5e55'")


@pytest.mark.parametrize(
    "command", [["sessions"], ["sessions", "show", "last"], ["stats", "--by", "branch"]], ids=" ".join
)
def test_a_branch_cannot_steer_the_terminal(command: list[str]) -> None:
    turn = some_turns()[-1]
    keep([{**turn, "branch": "x\x1b]0;title\x07", "agent": "\x1b[2J"}])
    assert "\x1b" not in said(*command)
