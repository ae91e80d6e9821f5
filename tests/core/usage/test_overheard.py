"""The words of a turn over a WebSocket."""

from __future__ import annotations

from codemie_core.store.payloads import Payload
from codemie_core.usage.overheard import Overheard
from codemie_core.usage.stream import StreamMeter

CREATED = b'{"type":"response.created","response":{"model":"gpt-5"}}'
COMPLETED = b'{"type":"response.completed","response":{"status":"completed"}}'


def test_a_turn_is_metered_and_its_messages_are_kept_as_events() -> None:
    turn = Overheard(StreamMeter("openai-responses", lambda: 0.0), Payload.of(0, 1000))
    assert turn.message(CREATED) is None
    assert turn.finish().model == "gpt-5"
    answer = turn.message(COMPLETED)
    assert answer is not None
    assert answer.complete
    assert turn.payload.response.ends()[0] == f"data: {CREATED.decode()}\n\ndata: {COMPLETED.decode()}\n\n"
