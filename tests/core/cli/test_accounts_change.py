import json
import os
import time
from pathlib import Path

import pytest

from codemie_core.accounts.state import Cooldown, Home
from codemie_core.cli.accounts_book import Book
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.accounts import change_account
from codemie_core.store.database import open_database
from support.accounts_cli import add, call, happened, listed, shown
from support.cli import COMMAND, environ
from support.terminal import Terminal

NOTICE = "Running proxies notice within a second."


@pytest.fixture
def pair() -> tuple[str, str]:
    """Two accounts of one origin: the ids of main and spare."""
    add("main")
    add("spare", "--priority", "1", secret="planted-key-2")
    return shown("main")["id"], shown("spare")["id"]


def talking(account_id: str, conversations: int) -> None:
    now = time.time()
    happened([Home(f"claude-code:{number}", account_id, now, now) for number in range(conversations)])


def test_pausing_says_why_what_moves_and_when(pair: tuple[str, str]) -> None:
    talking(pair[0], 2)
    outcome = call("pause", "main", "--reason", "kept for the release")
    assert outcome.stdout == "Paused main: kept for the release\n"
    assert outcome.stderr == f"{NOTICE} 2 conversations move to other accounts with the next request.\n"
    found = shown("main")
    assert (found["state"], found["paused"]) == ("paused", "kept for the release")
    assert [found["events"][0][key] for key in ("event", "reason")] == ["paused", "kept for the release"]
    assert found["events"][0]["who"].endswith("command line")


def test_pausing_the_last_one_says_that_agents_get_an_error(pair: tuple[str, str]) -> None:
    assert "No account in use is left" not in call("pause", "main").stderr
    assert "No account in use is left for https://api.anthropic.com:443" in call("pause", "spare").stderr


def test_an_account_that_stands_in_is_one_that_is_left() -> None:
    add("main")
    add("other", "--base-url", "https://llm.example.com", "--serves", "anthropic", provider="anthropic-compatible")
    assert "No account in use is left" not in call("pause", "main").stderr


def test_a_reason_is_one_line() -> None:
    add("main")
    with pytest.raises(SettingsError, match="--reason: write up to 200 printable characters on one line"):
        call("pause", "main", "--reason", "a\nb")
    assert call("pause", "main").stdout == "Paused main: by hand\n"


def test_resuming_says_how_it_is_now(pair: tuple[str, str]) -> None:
    call("pause", "main")
    outcome = call("resume", "main")
    assert (outcome.stdout, outcome.stderr) == ("Resumed main; it is ready\n", f"{NOTICE}\n")
    assert shown("main")["state"] == "ready"
    assert call("resume", "main").stdout == "main is not paused; it is ready\n"
    assert [event["event"] for event in shown("main")["events"]] == ["resumed", "paused", "added"]


def test_resuming_what_waits_for_a_sign_in_says_what_to_run() -> None:
    add("main")
    account_id = shown("main")["id"]
    with Book().writing() as connection:
        change_account(connection, account_id, "needs_login", "", "test", needs_login=True)
    outcome = call("resume", "main")
    assert outcome.stdout == "main is not paused; it is sign in again\n"
    assert "To have it back: codemie-proxy auth login anthropic --name main" in outcome.stderr


def test_a_priority_counts_for_new_conversations(pair: tuple[str, str]) -> None:
    outcome = call("priority", "main", "7")
    assert outcome.stdout == "main has priority 7 now\n"
    assert outcome.stderr == f"{NOTICE} It counts for new conversations; those that have an account keep it.\n"
    assert [(account["name"], account["priority"]) for account in listed()] == [("spare", 1), ("main", 7)]
    assert shown("main")["events"][0]["reason"] == "from 0 to 7"


def test_a_weight_is_a_share_of_new_conversations(pair: tuple[str, str]) -> None:
    outcome = call("weight", "main", "3")
    assert outcome.stdout == "main has weight 3 now\n"
    assert outcome.stderr == f"{NOTICE} It counts for new conversations; those that have an account keep it.\n"
    found = shown("main")
    assert (found["weight"], found["events"][0]["reason"]) == (3, "from 1 to 3")


def test_a_limited_account_is_asked_again_at_once(pair: tuple[str, str]) -> None:
    now = time.time()
    happened([Cooldown(pair[0], "", now + 3600, "5-hour limit", True, 0, now)])
    assert shown("main")["state"] == "limited"
    outcome = call("reset", "main")
    assert (outcome.stdout, outcome.stderr) == ("Forgot the limits of main; it is ready\n", f"{NOTICE}\n")
    assert shown("main")["state"] == "ready"


def test_a_new_name_keeps_id_and_history(pair: tuple[str, str]) -> None:
    outcome = call("rename", "main", "day-job")
    assert outcome.stdout == "Renamed main to day-job\n"
    found = shown("day-job")
    assert found["id"] == pair[0]
    assert [event["event"] for event in found["events"]] == ["renamed", "added"]


@pytest.mark.parametrize(
    "new_name, words", [("spare", "there is an account 'spare' already"), ("a b", "is no name for an account")]
)
def test_a_name_that_will_not_do_changes_nothing(new_name: str, words: str, pair: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match=words):
        call("rename", "main", new_name)
    assert [account["name"] for account in listed()] == ["main", "spare"]


def test_removing_takes_the_account_and_leaves_its_history(pair: tuple[str, str]) -> None:
    talking(pair[0], 1)
    outcome = call("remove", "main", "--yes")
    assert outcome.stdout == f"Removed main ({pair[0]}) and its secret\n"
    assert outcome.stderr == f"{NOTICE} 1 conversation moves to other accounts with the next request.\n"
    assert [account["name"] for account in listed()] == ["spare"]
    past = json.loads(call("events", "main", "--json").stdout)
    assert [event["event"] for event in past] == ["added", "removed"]


def test_removing_the_last_one_of_an_origin_says_that_clients_own_keys_pass(pair: tuple[str, str]) -> None:
    call("pause", "spare")
    said = call("remove", "main", "--yes").stderr
    assert "No account in use is left for https://api.anthropic.com:443" in said
    assert "clients' own keys" not in said
    said = call("remove", "spare", "--yes").stderr
    assert "No account is left for https://api.anthropic.com:443: clients' own keys pass through to it" in said
    assert "agents get an error" not in said


def test_removing_asks_and_without_anybody_to_ask_it_needs_yes(pair: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="nobody is here to ask; to remove main anyway: add --yes"):
        call("remove", "main")
    assert len(listed()) == 2


@pytest.mark.parametrize("answer, code, left", [("y", 0, ["spare"]), ("n", 1, ["main", "spare"])])
def test_a_person_is_asked_before_anything_is_removed(
    answer: str, code: int, left: list[str], pair: tuple[str, str]
) -> None:
    talking(pair[0], 3)
    with Terminal([*COMMAND, "accounts", "remove", "main"], environ()) as terminal:
        terminal.wait_for(r"Remove main\?")
        assert "and its secret go for good. 3 conversations move to other accounts" in terminal.screen
        terminal.type(f"{answer}\n")
        assert terminal.wait() == code
    assert [account["name"] for account in listed()] == left


@pytest.mark.parametrize(
    "arguments", [["pause", "main"], ["resume", "main"], ["priority", "main", "3"], ["rename", "main", "first"]]
)
def test_each_change_for_programs_is_the_account_as_it_is_now(arguments: list[str], pair: tuple[str, str]) -> None:
    found = json.loads(call(*arguments, "--json").stdout)
    assert found["id"] == pair[0]
    assert found == {name: value for name, value in shown(pair[0]).items() if name != "events"}


def test_a_removal_for_programs_names_what_is_gone(pair: tuple[str, str]) -> None:
    assert json.loads(call("remove", "main", "--yes", "--json").stdout)["removed"]["id"] == pair[0]


@pytest.mark.parametrize("command", ["pause", "resume", "show", "key", "remove", "test"])
def test_an_unknown_account_is_told_with_the_nearest(command: str, pair: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"there is no account 'spaer'; did you mean 'spare'\? codemie-proxy"):
        call(command, "spaer")


@pytest.mark.parametrize("command", [["pause"], ["resume"], ["show"], ["key"], ["remove", "--yes"], ["test"]])
def test_before_the_first_account_every_command_says_how_to_add_one(command: list[str], codemie_home: Path) -> None:
    with pytest.raises(SettingsError, match=r"there are no accounts yet\. Add one: codemie-proxy accounts add"):
        call(*command, "main")
    assert not codemie_home.exists()


def test_a_database_in_use_is_told_and_nothing_is_changed(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codemie_core.store.database.BUSY_TIMEOUT", 0.1)
    busy = open_database(Places.from_env(os.environ), os.environ)
    with busy.writing(), pytest.raises(SettingsError, match="cannot be used: database is locked"):
        call("pause", "main")
    busy.close()
    assert shown("main")["state"] == "ready"
