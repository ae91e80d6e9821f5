"""Which message asks for a turn, which ends it, and in which lane."""

from __future__ import annotations

import json

import pytest

from codemie_core.websocket.turns import MOST_OPEN, OpenTurns, asks, kind_of, lane_of

LONG = "x" * 1000
ASK = b'{"type":"response.create","model":"gpt-5"}'
DONE = b'{"type":"response.completed","response":{}}'


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (said(type="response.create", input=LONG), True),
        (said(input=LONG, type="response.create"), True),
        (said(instructions=LONG, type="response.create", input=LONG), True),
        (said(instructions=LONG, input={"type": "response.create"}, text=LONG), False),
        (said(instructions=LONG, input='"response.create"', text=LONG), False),
        (said(type="response.cancel"), False),
        (b'{"type": ["response.create"', True),
        (LONG.encode() + b'"response.create"' + LONG.encode(), False),
        (b"", False),
    ],
)
def test_a_turn_is_asked_for_wherever_its_message_says_so(message: bytes, asked: bool) -> None:
    assert asks(message) is asked


@pytest.mark.parametrize(
    ("message", "kind", "lane"),
    [
        (b' { "type" : "response.output_text.delta", "delta":"a"}', "response.output_text.delta", ""),
        (said(delta='"type": "error", "stream_id": "b"', type="error", stream_id="a"), "error", "a"),
        (said(type="error", response={"stream_id": "b"}), "error", ""),
        (said(type=5, stream_id=6), "", ""),
        (b'["type", "stream_id"]', "", ""),
        (b"[" * 5000, "", ""),
        (b'{"type":"error","stream_id":"a","pad":"' + b"x" * 2_000_000 + b'"}', "error", "a"),
        (b'{"pad":"' + b"x" * 2_000_000 + b'","type":"error"}', "", ""),
    ],
    ids=range(8),
)
def test_messages_say_what_they_are_and_where_they_belong(message: bytes, kind: str, lane: str) -> None:
    assert (kind_of(message), lane_of(message)) == (kind, lane)


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed", "error"])
def test_a_turn_is_open_until_its_last_event(kind: str) -> None:
    turns = OpenTurns()
    assert not turns.said(b"words", from_client=True)
    assert not turns
    assert turns.said(ASK, from_client=True)
    assert not turns.said(b'{"type":"response.created"}', from_client=False)
    assert not turns.said(said(type=kind), from_client=True)
    assert turns
    assert not turns.said(said(type=kind), from_client=False)
    assert not turns


def test_each_turn_that_was_asked_for_is_open_for_itself() -> None:
    turns = OpenTurns()
    for lane in ("a", "b", "b"):
        turns.said(said(type="response.create", stream_id=lane), from_client=True)
    for lane in ("b", "b", "b"):
        turns.said(said(type="response.completed", stream_id=lane), from_client=False)
    assert turns
    turns.said(said(type="error", status=400), from_client=False)
    assert not turns


def test_an_answer_to_nobody_opens_nothing() -> None:
    turns = OpenTurns()
    turns.said(DONE, from_client=False)
    turns.said(ASK, from_client=True)
    turns.said(DONE, from_client=False)
    turns.said(DONE, from_client=False)
    assert not turns


def test_endless_questions_are_not_counted_endlessly() -> None:
    turns = OpenTurns()
    for _ in range(MOST_OPEN + 50):
        turns.said(ASK, from_client=True)
    for _ in range(MOST_OPEN):
        turns.said(DONE, from_client=False)
    assert not turns
