"""The commands as they are declared; what they do is tested beside the module that does it."""

import pytest

from codemie_core.accounts.providers import PROVIDERS
from support.accounts_cli import call

COMMANDS = (
    *("add", "list", "show", "pause", "resume", "priority", "rename", "key", "remove", "test", "strategy", "events"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_teaches_with_an_example(command: str) -> None:
    outcome = call(command, "--help")
    assert outcome.exit_code == 0
    assert "Example" in outcome.stdout
    assert f"codemie-proxy accounts {command}" in " ".join(outcome.stdout.split())
    assert "--json" in outcome.stdout


def test_help_shows_the_first_steps_and_every_command() -> None:
    shown = " ".join(call("--help").stdout.split())
    assert "codemie-proxy accounts add main --provider anthropic" in shown
    assert all(command in shown for command in COMMANDS)


def test_help_of_add_names_every_provider() -> None:
    shown = " ".join(call("add", "--help").stdout.replace("│", " ").split())
    assert all(provider in shown for provider in PROVIDERS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["add"],
        ["add", "main"],
        ["add", "main", "--provider", "anthropic", "--weight", "0"],
        ["add", "main", "--provider", "anthropic", "--key", "planted"],
        ["priority", "main"],
        ["priority", "main", "first"],
        ["priority", "main", "1001"],
        ["show"],
        ["events", "--limit", "0"],
        ["fly"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_ends_with_2(arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2


def test_without_a_command_it_shows_what_there_is() -> None:
    outcome = call()
    assert outcome.exit_code == 2
    assert "strategy" in outcome.output
