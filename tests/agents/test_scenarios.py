"""Every client through the proxy, both ways in: what it shows, what the upstream saw, what the history holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from codemie_core.demo.script import Step
from support.access import until
from support.agents_clients import Told
from support.agents_room import LATE, SESSION, Room
from support.agents_wire import INPUT, MODELS, OUTPUT

WORD = "quetzalcoatl"
"""Comes from the scripted model alone."""
COMMAND = f"printf %s {WORD} > result.txt; cat result.txt"
WAIT = "touch started; seq 900 | while read n; do [ -e go ] && break; sleep 0.1; done; "
"""A tool that is at work until somebody makes the file `go`. No substitutions: Gemini CLI runs none."""
WARM_UP_EVENTS = 8
"""Of the scripted upstream's answer to a request that asks for nothing."""
LIMITED = Step(status=429, headers=(("retry-after", "3600"),))


def ended_well(told: Told, text: str) -> None:
    assert told.code == 0, (told, told.out[-2000:])
    assert text in told.text, told.text[-2000:]


def in_history(place: Room, turns: int, accounts: Sequence[str] = ("main",)) -> list[Mapping[str, Any]]:
    """So many good turns, each with its tokens, its cost, its agent and session. The rows."""
    rows = [row for row in place.rows(turns) if row["ok"]]
    assert len(rows) == turns, rows
    for row in rows:
        assert (row["input_tokens"], row["output_tokens"], row["complete"]) == (INPUT, OUTPUT, True), row
        assert row["model"] == MODELS[place.client.api]
        assert row["cost_nano_usd"] > 0
        assert row["session_id"] == SESSION
        assert row["agent"] not in ("", "unknown")
        assert row["account"] in accounts
    costs = {row["cost_nano_usd"] for row in rows}
    assert len(costs) == 1, "the same tokens cost the same"
    return rows


def one_conversation(place: Room, rows: Sequence[Mapping[str, Any]]) -> None:
    """What the agent calls its conversation is what the history calls it."""
    named = {request.header(place.client.session_header) for request in place.turns if place.client.session_header}
    if named:
        assert {row["conversation_id"] for row in rows} == named
        assert len(named) == 1


@pytest.mark.scenario("streamed answer")
def test_an_answer_is_streamed_and_counted(place: Room) -> None:
    place.says(place.words(f"The word is {WORD}, and no other one."))
    ended_well(place.ask("What is the word?"), f"The word is {WORD}, and no other one.")
    assert place.accounts == ["main"]
    one_conversation(place, in_history(place, 1))


@pytest.mark.scenario("tool call")
def test_a_tool_call_is_executed_and_its_result_goes_back(place: Room) -> None:
    place.says(place.runs(COMMAND), place.words("It is written."))
    ended_well(place.ask("Write the word down"), "It is written.")
    assert (place.folder / "result.txt").read_text() == WORD
    assert WORD in place.asked_last()
    assert set(place.accounts) == {"main"}
    rows = in_history(place, 2)
    one_conversation(place, rows)
    assert [row["tool_calls"] for row in rows] == [1, 0]


@pytest.mark.scenario("three turns")
def test_three_turns_of_the_user_are_one_conversation(place: Room) -> None:
    place.says(place.words("One."))
    ended_well(place.ask("Count"), "One.")
    for said in ("Two.", "Three."):
        place.says(place.words(said))
        ended_well(place.ask("And on", again=True), said)
    assert "One." in place.asked_last()
    assert "Two." in place.asked_last()
    assert set(place.accounts) == {"main"}
    one_conversation(place, in_history(place, 3))


@pytest.mark.scenario("first account limited")
def test_another_account_takes_over_when_the_first_is_limited(place: Room) -> None:
    place.fails("main", LIMITED)
    place.says(place.runs(COMMAND), place.words("It is written."))
    told = place.ask("Write the word down")
    ended_well(told, "It is written.")
    assert (place.folder / "result.txt").read_text() == WORD
    assert place.accounts[:2] == ["main", "spare"]
    assert "main" not in place.accounts[2:], "it rests"
    in_history(place, 2, ("spare",))


@pytest.mark.scenario("overload in the stream")
def test_an_overload_that_opens_the_stream_is_not_shown(place: Room) -> None:
    place.says(Step(events=[], error_event=True), place.words("It works again."))
    ended_well(place.ask("Does it work?"), "It works again.")
    in_history(place, 1, ("main", "spare"))


@pytest.mark.scenario("upstream restarted")
def test_the_upstream_is_restarted_while_a_tool_is_at_work(place: Room) -> None:
    place.says(place.runs(WAIT + COMMAND), place.words("It is written."))
    with place.started("Write the word down") as run:
        until((place.folder / "started").exists, LATE)
        place.restart_upstream()
        place.says(place.words("It is written."))
        (place.folder / "go").touch()
        ended_well(place.end(run), "It is written.")
    assert (place.folder / "result.txt").read_text() == WORD
    one_conversation(place, in_history(place, 2))


@pytest.mark.scenario("proxy restarted")
def test_the_proxy_is_restarted_while_a_tool_is_at_work(place: Room) -> None:
    place.says(place.runs(WAIT + COMMAND), place.words("It is written."))
    with place.started("Write the word down") as run:
        until((place.folder / "started").exists, LATE)
        place.restart_proxy()
        place.says(place.words("It is written."))
        (place.folder / "go").touch()
        ended_well(place.end(run), "It is written.")
    assert (place.folder / "result.txt").read_text() == WORD
    assert set(place.accounts) == {"main"}
    one_conversation(place, in_history(place, 2))


@pytest.mark.scenario("killed in mid-stream")
def test_a_client_that_is_killed_leaves_nothing_open(place: Room) -> None:
    gate = place.upstream.call(place.upstream.upstream.gate)
    place.says(place.words(f"The word is {WORD}, and no other one.", gate=gate))
    with place.started("What is the word?") as run:
        if place.client.websocket:
            # The message that opens a WebSocket has its own answer, and that passes.
            place.upstream.call(gate.release, WARM_UP_EVENTS - 1)
            until(lambda: any(len(turn.messages) > 1 for turn in place.turns), LATE)
        until(lambda: gate.waiting > 0, LATE)
        run.kill()
    # The upstream hears of it: by the end of the connection, or by a close frame.
    until(lambda: any(turn.cancelled or turn.finished for turn in place.turns), LATE)
    assert not place.ended_as("client_cancelled")["complete"]
    # And the next one is served.
    place.says(place.words("Here I am."))
    ended_well(place.ask("Hello?"), "Here I am.")
