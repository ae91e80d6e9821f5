import json
from pathlib import Path

import pytest

from codemie_core.cli.accounts_events import event_as_json, event_line
from codemie_core.errors import SettingsError
from codemie_core.store.audit import Event
from support.accounts_cli import add, call


def events(*arguments: str) -> list[tuple[str, str]]:
    return [(event["account"], event["event"]) for event in json.loads(call("events", *arguments, "--json").stdout)]


def test_before_anything_happened_it_says_so_and_makes_nothing(codemie_home: Path) -> None:
    assert call("events").stdout == "Nothing has happened yet.\n"
    assert events() == []
    assert not codemie_home.exists()


def test_the_newest_stands_last() -> None:
    add("main")
    add("spare", secret="planted-key-2")
    call("pause", "main", "--reason", "holidays")
    assert events() == [("main", "added"), ("spare", "added"), ("main", "paused")]
    assert events("main") == [("main", "added"), ("main", "paused")]
    assert events("--limit", "1") == [("main", "paused")]
    rows = [" ".join(line.split()) for line in call("events").stdout.splitlines()]
    assert rows[0] == "When Account What Why Who"
    assert " main paused holidays " in rows[-1]


def test_a_past_account_is_found_by_its_last_name() -> None:
    add("main")
    call("rename", "main", "first")
    call("remove", "first", "--yes")
    assert events("first") == [("main", "added"), ("first", "renamed"), ("first", "removed")]
    add("kept")
    with pytest.raises(SettingsError, match="there is no account 'nobody'"):
        call("events", "nobody")


def test_reasons_are_shown_without_secrets() -> None:
    event = Event("id-1", "main", 0.0, "paused", "because of sk-ant-api03-planted-planted-planted-planted", "ann")
    assert "planted" not in event_line(event) + json.dumps(event_as_json(event))
    assert event_as_json(event)["at"] == "1970-01-01T00:00:00+00:00"


def test_what_concerns_all_accounts_names_none() -> None:
    event = Event("", "", 0.0, "strategy", "least-used", "ann")
    assert (event_as_json(event)["account"], event_as_json(event)["account_id"]) == (None, None)
    assert event_line(event).endswith("strategy by ann: least-used")
