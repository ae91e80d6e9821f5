import pytest

from support.cli import call
from support.history_cli import keep, some_turns, told

COMMANDS = (["stats", "--since", "1d"], ["sessions"], ["requests"])


@pytest.mark.parametrize("command", [["stats"], ["sessions"], ["requests"], ["export"]])
def test_every_command_has_every_filter(command: list[str]) -> None:
    shown = call(*command, "--help").out
    for option in ("since", "until", "model", "account", "agent", "session", "project", "branch", "key", "status"):
        assert f"--{option} " in shown


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ([], 5),
        (["--since", "1d"], 4),
        (["--until", "1d"], 1),
        (["--model", "local-model"], 1),
        (["--account", "spare"], 1),
        (["--agent", "codex"], 1),
        (["--session", "last"], 1),
        (["--session", "5e551071", "--session", "last"], 4),
        (["--project", "-"], 1),
        (["--branch", "EPM-1", "--branch", "feature"], 2),
        (["--key", "-"], 5),
        (["--status", "error"], 1),
        (["--status", "ok", "--model", "claude", "--since", "1d"], 2),
    ],
)
def test_filters_filter(options: list[str], turns: int) -> None:
    keep(some_turns())
    assert len(told("requests", *options)) == turns
    assert sum(session["requests"] for session in told("sessions", *options)) == turns
    assert sum(row["requests"] for row in told("stats", "--by", "model", *options)["rows"]) == turns
