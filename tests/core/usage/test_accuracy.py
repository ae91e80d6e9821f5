"""Tokens, tools and cost equal the reference to the last digit, however an answer arrives."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from codemie_core.demo.answers_anthropic import AnthropicMessages
from codemie_core.demo.answers_chat import OpenAIChat
from codemie_core.demo.answers_gemini import Gemini
from codemie_core.demo.answers_responses import OpenAIResponses
from codemie_core.demo.dialect import Ask, Dialect
from codemie_core.demo.frames import dumps, words
from codemie_core.sse import SseParser
from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.stream import StreamMeter
from codemie_core.usage.usage import Usage
from support import accuracy, accuracy_doc, streams_random
from support.accuracy import CHECKS, differences, measured, result, shapes
from support.streams import Shape

ALL = pytest.mark.parametrize("shape", shapes(), ids=lambda shape: f"{shape.api}: {shape.name}")

SEEN = Answer(
    model="m",
    response_id="r",
    stop_reason="end_turn",
    usage=Usage(input=1, cache_read=2, cache_write=3, cache_write_1h=1, output=5, reasoning=2, server_tools={"a": 1}),
    tools=(ToolCall("id", "name", '{"a": 1}', 0),),
    events=9,
    first_token_ms=1.0,
    last_token_ms=2.0,
    complete=True,
    text_chars=7,
)


def shape_named(name: str) -> Shape:
    [found] = [shape for shape in shapes() if shape.name == name]
    return found


@ALL
@pytest.mark.parametrize("check", CHECKS)
def test_what_is_measured_equals_the_reference(check: str, shape: Shape) -> None:
    assert result(check, shape.name, shape.api).wrong[:5] == []


@ALL
def test_the_first_byte_tells_what_a_content_type_does_not(shape: Shape) -> None:
    if shape.form != "messages":
        found = StreamMeter(shape.api, lambda: 0.0)
        for part in shape.parts:
            found(part)
        assert differences(shape, shape.whole, found.finish()) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_answers_are_read_right_whole_cut_anywhere_and_in_any_chunks(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        shape = streams_random.answer(dice)
        assert accuracy.whole(shape).wrong == []
        assert accuracy.codings(shape).wrong == []
        count = dice.randrange(len(shape.parts))
        if shape.form != "messages":
            whole, half = b"".join(shape.parts[:count]), shape.parts[count]
            chunks = accuracy.chunked(whole + half[: dice.randrange(len(half))], dice)
            assert differences(shape, shape.answers[count], measured(shape, chunks)) == []


def test_turns_of_one_websocket_are_counted_apart() -> None:
    shape = shape_named("two functions over a WebSocket")
    found = StreamMeter(shape.api, lambda: 0.0)
    for _ in range(3):
        answers = [found.message(part) for part in shape.parts]
        assert answers[:-1] == [None] * (len(shape.parts) - 1)
        assert answers[-1] is not None
        assert differences(shape, shape.whole, answers[-1]) == []


@pytest.mark.parametrize(
    "changed",
    [
        *({name: "x"} for name in ("model", "response_id", "stop_reason", "error")),
        {"usage": replace(SEEN.usage, input=4)},
        {"usage": replace(SEEN.usage, cache_read=4)},
        {"usage": replace(SEEN.usage, cache_write=4)},
        {"usage": replace(SEEN.usage, cache_write_1h=None)},
        {"usage": replace(SEEN.usage, output=None)},
        {"usage": replace(SEEN.usage, reasoning=0)},
        {"usage": replace(SEEN.usage, server_tools={"a": 2})},
        {"usage": replace(SEEN.usage, tier="batch")},
        {"tools": ()},
        {"tools": (replace(SEEN.tools[0], id="x"),)},
        {"tools": (replace(SEEN.tools[0], name="x"),)},
        {"tools": (replace(SEEN.tools[0], arguments="{}"),)},
        {"tools": (replace(SEEN.tools[0], index=1),)},
        {"tools": (replace(SEEN.tools[0], cut=True),)},
        *({"refusal": True}, {"complete": False}, {"events": 8}, {"text_chars": 8}, {"first_token_ms": None}),
    ],
    ids=str,
)
def test_the_comparison_sees_any_change(changed: dict[str, Any]) -> None:
    shape = shapes()[0]
    assert differences(shape, SEEN, SEEN, times=True) == []
    assert len(differences(shape, SEEN, replace(SEEN, **changed))) == 1


def test_the_comparison_sees_a_token_at_another_time() -> None:
    shape = shapes()[0]
    assert differences(shape, SEEN, replace(SEEN, last_token_ms=3.0)) == []
    assert len(differences(shape, SEEN, replace(SEEN, last_token_ms=3.0), times=True)) == 1


def test_the_checks_see_a_meter_that_forgets_what_a_chunk_began(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = SseParser.feed
    monkeypatch.setattr(SseParser, "feed", lambda self, data: feed(self, data) if data.endswith(b"\n") else [])
    shape = shape_named("text with include_usage")
    assert accuracy.whole(shape).wrong == []
    assert all(check(shape).wrong for check in (accuracy.splits, accuracy.line_ends, accuracy.codings))


@pytest.mark.parametrize(
    ("api", "dialect"),
    [
        ("anthropic", AnthropicMessages()),
        ("openai-chat", OpenAIChat()),
        ("openai-responses", OpenAIResponses()),
        ("gemini", Gemini()),
    ],
)
def test_the_scripted_upstream_of_the_demo_is_counted_as_it_counts(api: str, dialect: Dialect) -> None:
    ask = Ask(serial=1, model="demo-model", stream=True, include_usage=True, input_tokens=321)
    streamed, whole = StreamMeter(api, lambda: 0.0), StreamMeter(api, lambda: 0.0)
    for frame in dialect.stream(ask, words("one two three four", None, False)):
        streamed(frame)
    whole(dumps(dialect.whole(ask, "one two three four")).encode())
    for answer in (streamed.finish(), whole.finish()):
        assert (answer.model, answer.usage.input, answer.usage.output) == ("demo-model", 321, 4)
        assert (answer.text_chars, answer.complete) == (len("one two three four"), True)


def test_costs_are_worked_out_from_published_rates() -> None:
    # 25 x 3 $ + 15 x 15 $ a million.
    assert shape_named("events without names, other spacing").nano_usd == 5 * 1_000 + 3 * 5_000
    assert shape_named("server tool: web search, input grows").nano_usd == 10_682 * 3_000 + 510 * 15_000 + 2 * 10**7


def test_a_chat_stream_without_usage_is_unknown_and_not_nothing() -> None:
    shape = shape_named("text without include_usage")
    usage = measured(shape, [shape.body]).usage
    assert (usage.input, usage.output, usage.total) == (None, None, None)
    assert accuracy.priced(shape).nano_usd is None


def test_the_page_says_what_the_code_measures() -> None:
    assert accuracy_doc.FILE.read_text("utf-8") == accuracy_doc.accuracy_doc(), (
        "docs/accuracy.md is stale: PYTHONPATH=addons:tests python -m support.accuracy_doc"
    )
