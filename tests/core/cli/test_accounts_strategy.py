import json
from pathlib import Path

import pytest

from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.strategy_choice import VARIABLE, WORDS
from codemie_core.cli.accounts_book import Book
from codemie_core.errors import SettingsError
from codemie_core.store.settings import load_settings
from support.accounts_cli import add, call


def told() -> tuple[str, str]:
    found = json.loads(call("strategy", "--json").stdout)
    return found["strategy"], found["from"]


def test_every_strategy_is_explained() -> None:
    assert WORDS.keys() == STRATEGIES.keys()
    table = call("strategy").stdout
    assert all(words in table for words in WORDS.values())
    assert [line.split()[1] for line in table.splitlines() if line.startswith("*")] == ["session"]


def test_without_a_word_it_is_the_default(codemie_home: Path) -> None:
    assert told() == ("session", "default")
    assert not codemie_home.exists()


def test_the_one_chosen_is_in_the_store_and_in_the_events() -> None:
    add("main")
    outcome = call("strategy", "least-used")
    assert outcome.stdout.startswith("Accounts are chosen by least-used from now on: ")
    assert outcome.stderr == "Running proxies notice within a second. Conversations that have an account keep it.\n"
    with Book().reading() as connection:
        assert load_settings(connection) == {"account_rotation.strategy": "least-used"}
    assert told() == ("least-used", "store")
    assert json.loads(call("events", "--json").stdout)[-1]["event"] == "strategy"


def test_the_settings_file_counts_where_nobody_chose(codemie_home: Path) -> None:
    add("main")
    (codemie_home / "proxy" / "codemie.yaml").write_text("account_rotation: {strategy: drain-soonest}\n")
    assert told() == ("drain-soonest", str(codemie_home / "proxy" / "codemie.yaml"))
    call("strategy", "session")
    assert told() == ("session", "store")


def test_a_variable_that_stands_above_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    add("main")
    monkeypatch.setenv(VARIABLE, "global-session")
    assert f"{VARIABLE}=global-session is set here, and stands above" in call("strategy", "least-used").stderr
    assert told() == ("global-session", VARIABLE)


@pytest.mark.parametrize(
    "typed, words", [("least-usd", "did you mean 'least-used'"), ("x", "there are: session, global-session")]
)
def test_an_unknown_strategy_is_refused(typed: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"there is no strategy '{typed}'; .*{words}"):
        call("strategy", typed)
