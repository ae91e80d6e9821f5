from pathlib import Path

import pytest

from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.strategy_choice import OPTION, SETTING, WORDS, check, choose, chosen
from codemie_core.errors import SettingsError
from codemie_core.store.settings import put_setting
from support.stored import StoredHome


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home)


def test_every_strategy_has_its_words_and_its_setting_has_the_name_of_the_option() -> None:
    assert WORDS.keys() == STRATEGIES.keys()
    assert f"codemie_{SETTING.replace('.', '_')}" == OPTION


def test_what_is_chosen_is_stored_and_in_the_audit_trail(home: StoredHome) -> None:
    assert home.read(chosen) == ""
    home.write(lambda connection: choose(connection, "least-used", "ann"))
    assert home.read(chosen) == "least-used"
    assert [(event.event, event.reason, event.who) for event in home.events()] == [("strategy", "least-used", "ann")]


def test_an_unknown_one_is_refused_and_changes_nothing(home: StoredHome) -> None:
    with pytest.raises(SettingsError, match="did you mean 'least-used'"):
        home.write(lambda connection: choose(connection, "least-usd", "ann"))
    assert home.events() == []


def test_one_of_another_version_counts_as_none(home: StoredHome) -> None:
    home.write(lambda connection: put_setting(connection, SETTING, "of-tomorrow"))
    assert home.read(chosen) == ""


def test_those_there_are_may_be_chosen() -> None:
    for name in STRATEGIES:
        check(name)
