import time
from pathlib import Path
from typing import Any

import pytest

from codemie_core.accounts import changes
from codemie_core.accounts.changes import BY_HAND, Changed
from codemie_core.accounts.roster import NoSuchAccount
from codemie_core.accounts.state import Cooldown, Home
from codemie_core.errors import SettingsError
from codemie_core.store.accounts import NameTaken
from codemie_core.store.pool import save_changes
from support.stored import StoredHome

URL, FAR = "https://api.anthropic.com", 4_000_000_000.0
ORIGIN = f"{URL}:443"


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    stored = StoredHome(codemie_home, {"CODEMIE_KEYRING": "0"})
    stored.key("main", URL, "planted-main")
    stored.key("spare", URL, "planted-spare", priority=1)
    return stored


def do(home: StoredHome, change: Any, *arguments: Any) -> Changed:
    found: Changed = home.write(lambda connection: change(connection, *arguments, "ann", time.time()))
    return found


def test_a_paused_account_is_paused_for_the_reason_given_and_another_takes_over(home: StoredHome) -> None:
    [main, _] = home.accounts()
    now = time.time()
    home.write(lambda connection: save_changes(connection, [Home("a", main.id, now, now)]))
    changed = do(home, changes.pause, "main", "holidays")
    assert (changed.account.paused, changed.status.state, changed.left) == ("holidays", "paused", 1)
    assert changes.moving(changed) == "1 conversation moves to other accounts with the next request."
    assert changes.none_left(changed) == ""
    assert [(event.event, event.reason, event.who) for event in home.events("main")][1:] == [
        ("paused", "holidays", "ann")
    ]


def test_the_last_one_that_is_paused_leaves_none(home: StoredHome) -> None:
    do(home, changes.pause, "main", BY_HAND)
    changed = do(home, changes.pause, "spare", BY_HAND)
    assert changes.none_left(changed).startswith(f"No account in use is left for {ORIGIN}")
    assert changes.moving(changed) == ""


def test_resuming_what_is_not_paused_changes_nothing(home: StoredHome) -> None:
    assert do(home, changes.resume, "main").was_so
    do(home, changes.pause, "main", BY_HAND)
    resumed = do(home, changes.resume, "main")
    assert (resumed.was_so, resumed.account.paused, resumed.status.state) == (False, None, "ready")
    assert [event.event for event in home.events("main")] == ["added", "paused", "resumed"]


@pytest.mark.parametrize(
    "change, value, field, event, reason",
    [
        (changes.set_priority, 7, "priority", "priority", "from 0 to 7"),
        (changes.set_weight, 3, "weight", "weight", "from 1 to 3"),
        (changes.rename, "day-job", "name", "renamed", "from main"),
    ],
)
def test_each_change_is_in_the_account_and_in_the_trail(
    home: StoredHome, change: Any, value: object, field: str, event: str, reason: str
) -> None:
    changed = do(home, change, "main", value)
    assert getattr(changed.account, field) == value
    assert home.events()[-1].event == event
    assert home.events()[-1].reason == reason


@pytest.mark.parametrize(
    "change, value, problem",
    [
        (changes.set_priority, -1, "a priority is a number from 0 to 1000"),
        (changes.set_weight, 0, "a weight is a number from 1 to 1000"),
        (changes.rename, "two words", "is no name for an account"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    home: StoredHome, change: Any, value: object, problem: str
) -> None:
    before = home.accounts()
    with pytest.raises(SettingsError, match=problem):
        do(home, change, "main", value)
    assert home.accounts() == before


def test_a_name_that_is_taken_and_an_account_that_is_not_there_are_told_apart(home: StoredHome) -> None:
    with pytest.raises(NameTaken):
        do(home, changes.rename, "main", "spare")
    with pytest.raises(NoSuchAccount, match="did you mean 'main'"):
        do(home, changes.pause, "mian", BY_HAND)


def test_rules_for_models_are_checked_together(home: StoredHome) -> None:
    changed = do(home, changes.set_models, "main", ["claude-*"], ["claude-opus-*"], "claude-haiku-4")
    assert (changed.account.allow, changed.account.deny) == (("claude-*",), ("claude-opus-*",))
    assert home.events()[-1].reason == "allow claude-*; deny claude-opus-*; fallback_model claude-haiku-4"
    with pytest.raises(SettingsError, match="keep it from this account"):
        do(home, changes.set_models, "main", ["gpt-*"], [], "claude-haiku-4")


def test_limits_that_are_forgotten_are_over_for_the_account_and_its_models(home: StoredHome) -> None:
    [main, _] = home.accounts()
    rests = [Cooldown(main.id, model, FAR, "limited", True, 2, 1.0) for model in ("", "claude-a")]
    home.write(lambda connection: save_changes(connection, rests))
    changed = do(home, changes.end_limits, "main")
    assert (changed.status.state, changed.status.models) == ("ready", ())
    assert home.events("main")[-1].event == "limits forgotten"


def test_after_a_removal_it_is_told_who_serves_its_origins(home: StoredHome) -> None:
    do(home, changes.pause, "spare", BY_HAND)
    [line] = changes.left_behind(do(home, changes.remove, "main"))
    assert line.startswith("No account in use is left")
    [line] = changes.left_behind(do(home, changes.remove, "spare"))
    assert line == f"No account is left for {ORIGIN}: clients' own keys pass through to it from now on."
    assert home.accounts() == []


@pytest.mark.parametrize("reason", ["a\nb", "x" * 201])
def test_a_reason_is_one_line(reason: str) -> None:
    with pytest.raises(SettingsError, match="why: write up to 200 printable characters on one line"):
        changes.checked_reason(reason, lambda _: "why")
    assert changes.checked_reason("  ") == BY_HAND
