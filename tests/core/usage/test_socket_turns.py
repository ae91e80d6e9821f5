"""The turns of one WebSocket, told apart."""

from __future__ import annotations

import json

from codemie_core.usage.answer import Answer
from codemie_core.usage.socket_turns import MOST_HELD, Ended, SocketTurns
from codemie_core.websocket.turns import MOST_OPEN

ASK = b'{"type":"response.create","model":"gpt-5"}'
ASK_AT_THE_END = b'{"input":[' + b'"x",' * 1000 + b'1],"type":"response.create"}'
DONE = b"done"
FAILED = b'{"type":"response.failed"}'


class Meter:
    """Counts messages until the last."""

    def __init__(self) -> None:
        self.seen = 0

    def message(self, text: bytes) -> Answer | None:
        """Told at the last."""
        self.seen += 1
        over = text in (DONE, FAILED) or b'"done": 1' in text
        return Answer(events=self.seen, complete=True) if over else None

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
    assert room.turns.cut() == []


def test_what_comes_outside_of_a_turn_belongs_to_none() -> None:
    room = Room()
    assert room.turns.from_server(DONE) is None
    assert room.turns.from_client(b'{"type":"ping"}') is None
    assert (
        room.turns.from_client(b'{"type":"x","text":"' + b"y" * 500 + b' \\"response.create\\" ' + b"y" * 500 + b'"}')
        is None
    )
    assert room.turns.cut() == []


def test_turns_without_an_end_are_told_when_the_socket_closes() -> None:
    room = Room()
    room.turns.from_client(ASK)
    room.turns.from_server(b"delta")
    assert room.turns.from_client(ASK) is None
    assert room.turns.cut() == [Ended(1, ASK, Answer(events=1), 0.0), Ended(2, ASK, Answer(), 0.0)]
    assert room.turns.cut() == []


def test_questions_that_come_before_the_answer_are_answered_in_their_order() -> None:
    room = Room()
    questions = [b'{"type":"response.create","model":"%d"}' % n for n in range(3)]
    for at, question in enumerate(questions):
        room.now = float(at)
        assert room.turns.from_client(question) is None
    assert [room.turns.from_server(DONE) for _ in range(4)] == [
        *(Ended(n + 1, question, Answer(events=1, complete=True), float(n)) for n, question in enumerate(questions)),
        None,
    ]


def in_lane(name: str, **more: object) -> bytes:
    return json.dumps({**more, "stream_id": name}).encode()


def test_lanes_are_answered_beside_each_other() -> None:
    room = Room()
    first, second = (in_lane(name, type="response.create") for name in "ab")
    for question in (first, second):
        room.turns.from_client(question)
    ended = [
        room.turns.from_server(in_lane(name, done=done)) for name, done in (("b", 0), ("a", 0), ("b", 1), ("a", 1))
    ]
    assert [one and (one.number, one.asked, one.answer.events) for one in ended] == [
        *(None, None),
        *((2, second, 2), (1, first, 2)),
    ]


ERROR = b'{"type":"error","error":{"code":"server_error"}}'
CREATED = b'{"type":"response.created"}'


def test_an_error_ends_its_turn_though_it_may_be_said_once_more() -> None:
    room = Room()
    for question in (ASK, ASK_AT_THE_END):
        room.turns.from_client(question)
    assert room.turns.from_server(CREATED) is None
    ended = room.turns.from_server(ERROR)
    assert ended is not None
    assert (ended.number, ended.answer.events) == (1, 2)
    assert room.turns.from_server(FAILED) is None
    assert room.turns.from_server(CREATED) is None
    assert room.turns.from_server(DONE) == Ended(2, ASK_AT_THE_END, Answer(events=2, complete=True), 0.0)


def test_a_turn_that_fails_after_another_one_did_is_told() -> None:
    room = Room()
    for number in (1, 2):
        room.turns.from_client(ASK)
        ended = room.turns.from_server(ERROR if number == 1 else FAILED)
        assert ended is not None
        assert ended.number == number


def test_what_the_model_goes_on_with_by_itself_is_a_turn_asked_for_by_the_words_that_steered_it() -> None:
    room = Room()
    steer = b'{"type":"response.steer","previous_response_id":"r1","input":"rather so"}'
    room.turns.from_client(ASK)
    assert room.turns.from_client(steer) is None
    assert room.turns.from_server(DONE) is not None
    for number, asked in ((2, steer), (3, b"")):
        assert room.turns.from_server(CREATED) is None
        ended = room.turns.from_server(DONE)
        assert ended is not None
        assert (ended.number, ended.asked) == (number, asked)


def test_a_client_that_only_asks_fills_no_memory() -> None:
    room = Room()
    told = [room.turns.from_client(in_lane(str(n), type="response.create")) for n in range(MOST_OPEN + 10)]
    assert [one.number for one in told if one] == list(range(1, 11))
    assert len(room.turns.cut()) == MOST_OPEN
    large = ASK + b" " * (MOST_HELD // 3)
    for _ in range(5):
        room.turns.from_client(large)
    assert sum(len(one.asked) for one in room.turns.cut()) <= MOST_HELD
    room.turns.from_client(large)
    assert [one.asked for one in room.turns.cut()] == [large]
