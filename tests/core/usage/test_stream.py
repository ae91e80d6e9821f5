import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.usage.answer import Answer
from codemie_core.usage.apis import MODEL_APIS
from codemie_core.usage.stream import BUNDLE, BUNDLE_BYTES, LARGEST_BODY, LARGEST_EVENT, StreamMeter
from codemie_core.usage.usage import Usage
from support.reading import EXAMPLES, GEMINI, RESPONSES, WHOLE, Body, streamed, whole, wrong_with

APIS = pytest.mark.parametrize("api", MODEL_APIS)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def metered(api: str, *chunks: bytes, content_type: str = "") -> Answer:
    """What a meter knows after these chunks, one per millisecond."""
    clock = Clock()
    meter = StreamMeter(api, clock)
    meter.begin(content_type)
    for chunk in chunks:
        clock.now += bool(chunk)
        meter(chunk)
    return meter.finish()


def sse(body: Body) -> bytes:
    name = f"event: {body['type']}\n" if "type" in body else ""
    return f"{name}data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


@APIS
@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream; charset=utf-8", "", "text/plain"])
def test_events_are_read_as_they_pass(api: str, content_type: str) -> None:
    chunks = [sse(body) for body in EXAMPLES[api]]
    assert metered(api, *chunks, content_type=content_type) == streamed(api, *EXAMPLES[api])


@APIS
@pytest.mark.parametrize("opening", [b": hi\n\n", b"\n\n", b"\xef\xbb\xbf", b"retry: 1\n", b"id: 1\n", b"\r\n: \n\n"])
def test_a_stream_is_known_by_its_first_byte(api: str, opening: bytes) -> None:
    chunks = [sse(body) for body in EXAMPLES[api]]
    assert metered(api, b"", opening + chunks[0], *chunks[1:]) == streamed(api, *EXAMPLES[api])


@APIS
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", ""])
def test_a_body_is_read_as_a_whole_at_the_end(api: str, content_type: str) -> None:
    body = json.dumps(WHOLE[api]).encode()
    meter = StreamMeter(api, Clock())
    meter.begin(content_type)
    for at in range(0, len(body), 7):
        meter(body[at : at + 7])
    assert meter.pending == len(body)
    assert meter.finish() == whole(api, WHOLE[api])
    assert meter.pending == 0
    assert meter.finish() == whole(api, WHOLE[api])


@APIS
def test_a_body_that_was_cut_tells_nothing(api: str) -> None:
    assert metered(api, json.dumps(WHOLE[api]).encode()[:-2]) == Answer()


def test_a_streamed_array_of_gemini_is_read_object_by_object() -> None:
    chunks = [b"[", *(json.dumps(body, indent=2).encode() + b",\r\n" for body in GEMINI), b"]"]
    answer = metered("gemini", *chunks, content_type="application/json")
    assert answer.events == len(GEMINI)
    assert (answer.first_token_ms, answer.last_token_ms) == (2.0, 3.0)
    assert answer.usage == streamed("gemini", *GEMINI).usage
    assert metered("gemini", *chunks[:2]).text_chars == 8


@APIS
@pytest.mark.parametrize(
    "body", [b"", b" \n", b"<html>data: {}</html>", b"null", b'"x"', b"12", b"[]", b"{}", b"\xff\xfe"]
)
def test_what_is_no_answer_tells_nothing(api: str, body: bytes) -> None:
    assert metered(api, body) == Answer()
    assert metered(api, *(body[at : at + 1] for at in range(len(body)))) == Answer()


@APIS
def test_a_body_that_is_too_large_is_let_go(api: str) -> None:
    meter = StreamMeter(api, Clock())
    for chunk in (b'{"a": "', b"x" * (LARGEST_BODY - 7)):
        meter(chunk)
    assert meter.pending == LARGEST_BODY
    meter(b"x" * BUNDLE_BYTES)
    assert meter.pending == 0
    meter(b'"}')
    assert (meter.pending, meter.finish()) == (0, Answer())


@APIS
def test_an_event_that_is_too_large_is_left_out(api: str) -> None:
    body: dict[str, Any] = {**EXAMPLES[api][0], "padding": "x" * LARGEST_EVENT}
    assert metered(api, sse(body), *(sse(each) for each in EXAMPLES[api])).events == len(EXAMPLES[api])


def test_memory_does_not_grow_with_the_stream() -> None:
    event = sse(RESPONSES[1])
    meter = StreamMeter("openai-responses", Clock())
    tracemalloc.start()
    try:
        for number in range(20_000):
            meter(event)
            if number == 1000:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All of the events would be fifteen times as much.
    assert after - before < 100_000


def test_an_unknown_api_is_not_read() -> None:
    assert metered("", sse(RESPONSES[0]), content_type="text/event-stream") == Answer()
    assert metered("", b'{"model": "x"}') == Answer()
    assert StreamMeter("", Clock()).message("{}") is None


def frames(meter: StreamMeter, *bodies: object) -> list[Answer | None]:
    return [meter.message(body if isinstance(body, str | bytes) else json.dumps(body)) for body in bodies]


LAST = RESPONSES[-1]


def test_messages_make_an_answer_with_the_last_one_of_the_turn() -> None:
    clock = Clock()
    meter = StreamMeter("openai-responses", clock)
    *before, answer = frames(meter, *RESPONSES)
    assert before == [None] * len(before)
    assert answer is not None
    assert (answer.usage, answer.complete, answer.events) == (streamed("openai-responses", *RESPONSES).usage, True, 9)
    assert meter.finish() == answer


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_every_last_event_ends_the_turn(status: str) -> None:
    meter = StreamMeter("openai-responses", Clock())
    body = {"sequence_number": 3, "type": f"response.{status}", "response": {"status": status}}
    (answer,) = frames(meter, json.dumps(body).encode())
    assert answer is not None
    assert answer.stop_reason == status


def test_the_next_turn_begins_with_nothing() -> None:
    meter = StreamMeter("openai-responses", Clock())
    first = frames(meter, *RESPONSES)[-1]
    second = frames(meter, RESPONSES[1], {"type": "response.completed", "response": {"id": "resp_2"}})[-1]
    assert first is not None
    assert second is not None
    assert (second.response_id, second.usage, second.tools, second.text_chars, second.events) == (
        "resp_2",
        Usage(),
        (),
        8,
        2,
    )


def test_a_turn_that_was_cut_keeps_what_was_seen() -> None:
    meter = StreamMeter("openai-responses", Clock())
    assert frames(meter, RESPONSES[0], RESPONSES[1], {"type": "error", "code": "server_error"}) == [None] * 3
    answer = meter.finish()
    assert (answer.model, answer.text_chars, answer.error, answer.complete) == ("gpt-5", 8, "server_error", False)


def test_a_last_message_that_is_too_large_ends_its_turn_incomplete() -> None:
    meter = StreamMeter("openai-responses", Clock())
    *_, answer = frames(meter, RESPONSES[0], RESPONSES[1], {**LAST, "padding": "x" * LARGEST_EVENT})
    assert answer is not None
    assert (answer.complete, answer.text_chars, answer.usage) == (False, 8, Usage())


@APIS
@settings(max_examples=60)
@given(
    chunks=st.lists(
        st.binary()
        | st.text().map(str.encode)
        | st.sampled_from([b"data: ", b"\n\n", b"{", b"[", b'"', b"event: error\n"])
    ),
    content_type=st.sampled_from(["", "text/event-stream", "application/json"]),
)
def test_garbage_is_survived(api: str, chunks: list[bytes], content_type: str) -> None:
    assert wrong_with(metered(api, *chunks, content_type=content_type)) == []
    meter = StreamMeter(api, Clock())
    assert all(meter.message(chunk) is None for chunk in chunks)


@APIS
def test_what_waits_to_be_read_is_bounded_and_keeps_its_time(api: str) -> None:
    clock = Clock()
    meter = StreamMeter(api, clock)
    meter.begin("text/event-stream")
    held = 0
    for _ in range(3 * BUNDLE):
        meter(b": ping\n\n")
        held = max(held, meter.pending)
    assert held < BUNDLE * 10
    for body in EXAMPLES[api]:
        clock.now += 1
        meter(sse(body))
    clock.now += 1_000
    assert meter.finish() == streamed(api, *EXAMPLES[api])
