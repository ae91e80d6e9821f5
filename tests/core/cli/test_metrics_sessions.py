"""The sessions on disk, and what was sent of one."""

import json

import pytest

from support.cli import Outcome, call
from support.metrics_api import DOWN, TAKEN, MetricsApi
from support.metrics_cli import OTHER, api, room, shown
from support.metrics_room import SESSION, MetricsRoom

__all__ = ["api", "room"]


def test_sessions_are_listed_with_what_waits_of_each(room: MetricsRoom) -> None:
    room.foreign("0f0f0f0f-0000-4000-8000-000000000000")
    out = call("metrics", "show").out
    assert "ours" in out
    assert "CodeMie's CLI" in out
    listed = shown("show")
    assert isinstance(listed, list)
    assert {each["session_id"]: each["records"] for each in listed}[OTHER] == {"pending": 1}


def test_a_session_is_shown_with_what_was_sent_of_it_byte_for_byte(room: MetricsRoom, api: MetricsApi) -> None:
    api.script(DOWN, TAKEN)
    call("metrics", "sync")
    out = call("metrics", "show", SESSION[:-1] + "1").out
    [came] = [came for came in api.came if came.reply is TAKEN and came.attributes["branch"] == "main"]
    assert came.body.decode() in out
    assert "marked, 2 attempts" in out
    found = shown("show", OTHER)
    assert isinstance(found, dict)
    assert [each["state"] for each in found["sent"]] == ["marked"]


@pytest.mark.parametrize("named, words", [("5e551071", "several sessions"), ("nobody", "no session here")])
def test_a_session_that_is_not_there_is_named(room: MetricsRoom, named: str, words: str) -> None:
    outcome: Outcome = call("metrics", "show", named)
    assert (outcome.code, words in outcome.err) == (1, True)


def test_before_the_first_session_there_is_nothing_to_list(api: MetricsApi) -> None:
    assert call("metrics", "show").out == "No session has been written down yet.\n"
    assert shown("show") == []


def test_what_stands_in_files_of_others_steers_no_terminal(room: MetricsRoom) -> None:
    name = "planted\x1b[31m"
    words = {"agentName": "a\x1b]0;title\x07", "repository": "r\u202e", "status": "s\x1b[2J"}
    record = {"recordId": "x", "sessionId": name, "syncStatus": "\x1b[5m"}
    (room.files.folder / f"{name}.json").write_text(json.dumps({"sessionId": name, "startTime": 1, **words}))
    (room.files.folder / f"{name}_metrics.jsonl").write_text(json.dumps(record) + "\n")
    for command in (("show",), ("show", "planted"), ("status",)):
        outcome = call("metrics", *command)
        assert outcome.code == 0
        assert outcome.out.replace("\n", "").isprintable(), command
