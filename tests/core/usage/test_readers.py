"""What holds for the readers of all APIs; what an API says is tested beside its reader."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.apis import MODEL_APIS
from codemie_core.usage.draft import LONGEST_ARGUMENTS, MOST_CALLS
from codemie_core.usage.readers import reader_for
from support.reading import EXAMPLES, GARBAGE, WHOLE, event, fresh, places, streamed, whole, with_value_at, wrong_with

APIS = pytest.mark.parametrize("api", MODEL_APIS)


@APIS
def test_every_api_has_a_reader_of_its_own(api: str) -> None:
    first, second = reader_for(api), reader_for(api)
    assert first is not None
    assert second is not None
    assert first is not second


def test_an_unknown_api_has_none() -> None:
    assert reader_for("") is None
    assert reader_for("codemie") is None


@APIS
def test_nothing_is_known_of_an_answer_that_never_came(api: str) -> None:
    assert fresh(api).answer() == Answer()


@APIS
def test_spaces_in_the_json_and_missing_names_of_events_change_nothing(api: str) -> None:
    bodies = EXAMPLES[api]
    plain = streamed(api, *bodies)
    assert plain.usage.output
    assert plain.text_chars
    assert plain.tools
    assert streamed(api, *bodies, spaced=True) == plain
    assert streamed(api, *bodies, named=False) == plain
    assert streamed(api, *bodies, spaced=True, named=False) == plain


@APIS
def test_what_was_seen_of_a_cut_stream_stays_and_is_not_complete(api: str) -> None:
    *most, last = [body for body in EXAMPLES[api] if "error" not in body and body.get("type") != "error"]
    assert not streamed(api, *most).complete
    finished = streamed(api, *most, last, *(["[DONE]"] if api == "openai-chat" else []))
    assert finished.complete
    assert streamed(api, *most[:3]).text_chars == finished.text_chars


@APIS
@settings(max_examples=60)
@given(data=st.data())
def test_any_value_in_any_place_of_a_stream_is_survived(api: str, data: st.DataObject) -> None:
    bodies: list[Any] = list(EXAMPLES[api])
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(bodies) - 1))
        path = data.draw(st.sampled_from(list(places(bodies[number]))))
        bodies[number] = with_value_at(bodies[number], path, data.draw(GARBAGE))
    reader = fresh(api)
    for at_ms, body in enumerate(bodies):
        reader.feed(event(body), float(at_ms))
        assert wrong_with(reader.answer()) == []


@APIS
@settings(max_examples=60)
@given(data=st.data())
def test_any_value_in_any_place_of_a_body_is_survived(api: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(WHOLE[api]))))
    assert wrong_with(whole(api, with_value_at(WHOLE[api], path, data.draw(GARBAGE)))) == []


@APIS
@pytest.mark.parametrize("value", [None, True, 0, -1, 1.5, "12", "", [], {}, [[]], 10**400, float("nan")])
def test_every_place_survives_every_type(api: str, value: object) -> None:
    for number, body in enumerate(EXAMPLES[api]):
        for path in places(body):
            bodies = [*EXAMPLES[api][:number], with_value_at(body, path, value), *EXAMPLES[api][number + 1 :]]
            assert wrong_with(streamed(api, *bodies)) == [], path
    for path in places(WHOLE[api]):
        assert wrong_with(whole(api, with_value_at(WHOLE[api], path, value))) == [], path


@APIS
@settings(max_examples=100)
@given(name=st.text() | st.sampled_from(["message_stop", "response.completed", "error"]), data=st.text())
def test_any_event_is_survived(api: str, name: str, data: str) -> None:
    reader = fresh(api)
    reader.feed(SseEvent(name, data, None, None), 1.0)
    reader.whole(data)
    assert wrong_with(reader.answer()) == []


COUNTS = {
    "anthropic": ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"),
    "openai-chat": ("prompt_tokens", "completion_tokens"),
    "openai-responses": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount",),
}


@APIS
@pytest.mark.parametrize("value", [True, False, -1, 1.0, "12", None, [3], 10**12 + 1, 10**400])
def test_what_is_no_count_is_unknown_and_not_zero(api: str, value: object) -> None:
    for name in COUNTS[api]:
        holder = "usageMetadata" if api == "gemini" else "usage"
        usage = whole(api, {"status": "completed", holder: {name: value}}).usage
        assert (usage.input, usage.output, usage.cache_read, usage.cache_write) == (None,) * 4, name


@APIS
def test_a_count_of_zero_is_known(api: str) -> None:
    holder = "usageMetadata" if api == "gemini" else "usage"
    for name in COUNTS[api]:
        usage = whole(api, {"status": "completed", holder: {name: 0}}).usage
        assert 0 in (usage.input, usage.output, usage.cache_read, usage.cache_write), name


def call(api: str, number: int, arguments: str) -> object:
    """One event in which one call comes whole."""
    function = {"name": f"t{number}", "arguments": arguments}
    return {
        "anthropic": {
            "type": "content_block_delta",
            "index": number,
            "delta": {"type": "input_json_delta", "partial_json": arguments},
        },
        "openai-chat": {"choices": [{"delta": {"tool_calls": [{"index": number, "id": "c", "function": function}]}}]},
        "openai-responses": {
            "type": "response.output_item.done",
            "output_index": number,
            "item": {"type": "function_call", "call_id": "c", **function},
        },
        "gemini": {"candidates": [{"content": {"parts": [{"functionCall": {"name": "t", "args": {"a": arguments}}}]}}]},
    }[api]


def calls(api: str, count: int, arguments: str) -> Answer:
    reader = fresh(api)
    for number in range(count):
        if api == "anthropic":
            block = {"type": "tool_use", "id": "c", "name": "t"}
            reader.feed(event({"type": "content_block_start", "index": number, "content_block": block}), 1.0)
        reader.feed(event(call(api, number, arguments)), 1.0)
    return reader.answer()


@APIS
def test_too_many_calls_and_too_long_arguments_are_cut(api: str) -> None:
    assert len(calls(api, MOST_CALLS + 5, "{}").tools) == MOST_CALLS
    (long,) = calls(api, 1, "x" * (LONGEST_ARGUMENTS + 1)).tools
    assert len(long.arguments) == LONGEST_ARGUMENTS
    assert long.cut


@APIS
def test_the_halves_of_a_character_that_came_apart_are_joined(api: str) -> None:
    if api == "anthropic":
        block = {"type": "tool_use", "id": "c", "name": "t"}
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in ("\ud83d", "\ude00")]
        started = {"type": "content_block_start", "index": 0, "content_block": block}
        answer = streamed(api, started, *({"type": "content_block_delta", "index": 0, "delta": d} for d in deltas))
    elif api == "openai-chat":
        pieces = [{"index": 0, "function": {"name": "t", "arguments": half}} for half in ("\ud83d", "\ude00")]
        answer = streamed(api, *({"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces))
    else:
        answer = calls(api, 1, "\ud83d\ude00")
    assert "😀" in answer.tools[0].arguments


@APIS
@pytest.mark.parametrize("spaced", [False, True])
@settings(max_examples=60)
@given(words=st.text())
def test_every_character_of_the_text_is_counted_once(api: str, spaced: bool, words: str) -> None:
    body = {
        "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}},
        "openai-chat": {"id": "c", "model": "m", "choices": [{"delta": {"content": words}, "finish_reason": None}]},
        "openai-responses": {"type": "response.output_text.delta", "output_index": 0, "delta": words},
        "gemini": {"candidates": [{"content": {"parts": [{"text": words}]}}]},
    }[api]
    as_is = SseEvent("message", json.dumps(body, ensure_ascii=False, separators=(",", ":")), None, None)
    reader = fresh(api)
    reader.feed(event(body, spaced=spaced), 1.0)
    reader.feed(as_is, 2.0)
    answer = reader.answer()
    assert answer.text_chars == 2 * len(words)
    assert (answer.first_token_ms, answer.last_token_ms) == ((1.0, 2.0) if words else (None, None))


@APIS
def test_a_megabyte_of_brackets_is_refused_at_once(api: str) -> None:
    began = time.process_time()
    assert streamed(api, "[" * 1024 * 1024, '{"type":' * 100_000) == Answer(events=2)
    assert time.process_time() - began < 2
