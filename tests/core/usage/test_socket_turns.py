"""The turns of one WebSocket, told apart."""

from __future__ import annotations

from codemie_core.usage.answer import Answer
from codemie_core.usage.socket_turns import Ended, SocketTurns

ASK = b'{"type":"response.create","model":"gpt-5"}'
ASK_AT_THE_END = b'{"input":[' + b'"x",' * 1000 + b'1],"type":"response.create"}'
DONE = b"done"


class Meter:
    """Counts messages until the last."""

    def __init__(self) -> None:
        self.seen = 0

    def message(self, text: bytes) -> Answer | None:
        """Told at the last."""
        self.seen += 1
        return Answer(events=self.seen, complete=True) if text == DONE else None

    def finish(self) -> Answer:
        """So far."""
        return Answer(events=self.seen)


class Room:
    """A socket and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = SocketTurns("openai-responses", Meter, lambda: self.now)


def test_each_turn_has_its_number_its_question_and_its_time() -> None:
    room = Room()
    ended: list[Ended | None] = []
    for at, ask in ((10.0, ASK), (500.0, ASK_AT_THE_END)):
        room.now = at
        assert room.turns.from_client(ask) is None
        assert room.turns.from_server(b"delta") is None
        ended.append(room.turns.from_server(DONE))
    assert ended == [
        Ended(1, ASK, Answer(events=2, complete=True), 10.0),
        Ended(2, ASK_AT_THE_END, Answer(events=2, complete=True), 500.0),
    ]
    assert room.turns.cut() is None


def test_what_comes_outside_of_a_turn_belongs_to_none() -> None:
    room = Room()
    assert room.turns.from_server(DONE) is None
    assert room.turns.from_client(b'{"type":"ping"}') is None
    assert (
        room.turns.from_client(b'{"type":"x","text":"' + b"y" * 500 + b' \\"response.create\\" ' + b"y" * 500 + b'"}')
        is None
    )
    assert room.turns.cut() is None


def test_a_turn_without_an_end_is_told_when_the_next_begins_or_the_socket_closes() -> None:
    room = Room()
    room.turns.from_client(ASK)
    room.turns.from_server(b"delta")
    assert room.turns.from_client(ASK) == Ended(1, ASK, Answer(events=1), 0.0)
    assert room.turns.cut() == Ended(2, ASK, Answer(), 0.0)
