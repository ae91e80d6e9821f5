import json
import time

import pytest

from codemie_core.accounts.state import Cooldown, Home, Usage
from support.accounts_cli import add, call, happened, listed, shown

KEYS = {
    *("id", "name", "provider", "kind", "base_url", "priority", "weight", "state", "state_in_words", "reason", "until"),
    *("verified", "utilization", "conversations", "models_out", "paused", "needs_login", "secret", "serves", "allow"),
    *("deny", "fallback_model", "outbound_proxy", "tags", "created_at"),
}


def test_without_accounts_the_list_says_how_to_begin() -> None:
    outcome = call("list")
    assert outcome.stdout == (
        "There are no accounts yet. Add one: codemie-proxy accounts add NAME --provider anthropic\n"
        "Until then clients' own keys pass through untouched.\n"
    )
    assert listed() == []
    assert call("list").exit_code == 0


@pytest.fixture
def now() -> float:
    """Some accounts, each in a state of its own."""
    for name, arguments in {"main": [], "second": [], "third": ["--priority", "2"], "off": ["--tag", "eu"]}.items():
        add(name, *arguments, secret=f"planted-{name}")
    call("pause", "off", "--reason", "holidays")
    ids = {account["name"]: account["id"] for account in listed()}
    now = time.time()
    happened(
        [
            Cooldown(ids["main"], "", now + 3600, "5-hour limit", True, 0, now),
            Cooldown(ids["second"], "", now + 900, "overloaded", False, 1, now),
            Cooldown(ids["third"], "claude-opus-4-1", now + 86400 * 2, "out of credits", True, 0, now),
            Usage(ids["main"], "5h", 1.0, now + 3600, now),
            Usage(ids["third"], "5h", 0.42, now + 3600, now),
            Home("claude-code:1", ids["third"], now, now),
        ]
    )
    return now


def row_of(name: str, text: str) -> str:
    [row] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return " ".join(row.split())


def test_the_list_says_in_words_how_each_account_is(now: float) -> None:
    outcome = call("list")
    clock = time.strftime("%H:%M", time.localtime(now + 3600))
    table = outcome.stdout
    assert [line.split()[0] for line in table.splitlines()] == ["Name", "main", "off", "second", "third"]
    assert f"limited until {clock}" in table or "limited until 20" in table
    assert "(upstream said so)" in row_of("main", table)
    assert row_of("main", table).endswith("100% - 5-hour limit")
    assert "(a guess) - - overloaded" in row_of("second", table)
    assert "anthropic 2 in use 42% 1 without claude-opus-4-1 until 20" in row_of("third", table)
    assert "paused: holidays - - -" in row_of("off", table)
    assert outcome.stderr == "off: codemie-proxy accounts resume off\n"
    assert "planted" not in outcome.output


def test_the_list_for_programs_has_stable_keys(now: float) -> None:
    found = listed()
    assert all(account.keys() == KEYS for account in found)
    assert [(account["name"], account["state"]) for account in found] == [
        *(("main", "limited"), ("off", "paused"), ("second", "guessed"), ("third", "in use"))
    ]
    main, off, second, third = found
    assert (main["verified"], main["utilization"], main["reason"]) == (True, 1.0, "5-hour limit")
    assert (off["reason"], off["until"], off["tags"]) == ("holidays", None, ["eu"])
    assert (second["verified"], second["utilization"]) == (False, None)
    assert [out["model"] for out in third["models_out"]] == ["claude-opus-4-1"]
    assert third["conversations"] == 1


def test_where_apis_differ_the_list_says_which() -> None:
    add("main")
    assert " at https" not in call("list").stdout
    add("eu", "--base-url", "https://eu.example.com")
    assert "anthropic at https://eu.example.com" in call("list").stdout


def test_show_tells_all_and_what_happened_last(now: float) -> None:
    text = call("show", "off").stdout
    assert "State        paused: holidays\n" in text
    assert "To mend it   codemie-proxy accounts resume off\n" in text
    assert "added by" in text
    assert "paused by" in text
    found = shown("off")
    assert found.keys() == KEYS | {"events"}
    assert [event["event"] for event in found["events"]] == ["paused", "added"]
    assert found["events"][0].keys() == {"at", "account", "account_id", "event", "reason", "who"}
    assert "planted" not in text + json.dumps(found)
