"""A turn on its way to the clerk."""

from __future__ import annotations

from codemie_core.usage.answer import Answer
from codemie_core.usage.turn import Read
from support.turns import exchange_like, turn_like


def test_a_turn_is_named_after_its_request_and_its_place_in_it() -> None:
    exchange = exchange_like(request_id="abc")
    assert turn_like(exchange).id == "abc"
    assert turn_like(exchange, number=2).id == "abc.2"


def test_what_has_been_read_is_what_was_read() -> None:
    answer = Answer(model="m", complete=True)
    assert Read(answer).finish() is answer
