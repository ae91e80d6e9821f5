import os
import subprocess
from pathlib import Path

import pytest

from codemie_core.cli.accounts_names import account_names, provider_names, strategy_names
from support.accounts_cli import add
from support.cli import COMMAND, environ


def test_account_names_are_those_of_the_store_that_begin_so() -> None:
    add("main")
    add("mobile", secret="planted-key-2")
    add("spare", secret="planted-key-3")
    assert account_names("") == ["main", "mobile", "spare"]
    assert account_names("m") == ["main", "mobile"]
    assert account_names("x") == []


def test_without_a_store_nothing_is_offered_and_nothing_is_made(codemie_home: Path) -> None:
    assert account_names("") == []
    assert not codemie_home.exists()


def test_a_store_that_cannot_be_read_offers_nothing(codemie_home: Path) -> None:
    (codemie_home / "proxy").mkdir(parents=True, mode=0o700)
    (codemie_home / "proxy" / "proxy.db").write_text("this is no database")
    assert account_names("") == []


def test_a_database_that_does_not_answer_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert account_names("") == []


def test_providers_and_strategies_are_offered() -> None:
    assert provider_names("an") == ["anthropic", "anthropic-compatible"]
    assert strategy_names("l") == ["least-used"]


@pytest.mark.parametrize("shell, answer", [("bash", "main\nmobile"), ("zsh", '"main"'), ("fish", "main")])
def test_a_shell_gets_the_names(shell: str, answer: str) -> None:
    add("main")
    add("mobile", secret="planted-key-2")
    line = "codemie-proxy accounts pause m"
    asked = {
        "_CODEMIE_PROXY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run([*COMMAND], env=environ(**asked), capture_output=True, text=True, timeout=60, check=False)
    assert answer in done.stdout
    assert done.stderr == ""
    assert os.environ.get("_CODEMIE_PROXY_COMPLETE") is None
