from typing import Any

import pytest

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.usage import Usage
from support.reading import CHAT, streamed, whole

DONE = "[DONE]"


def read(*bodies: object) -> Answer:
    return streamed("openai-chat", *bodies)


def chunk(delta: object = None, end: str | None = None, index: int = 0, **more: object) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": index, "delta": delta, "logprobs": None, "finish_reason": end}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4.1", "choices": choices, **more}


def call(index: int | None, arguments: str = "", id: str | None = None, name: str | None = None) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, "id": id, "function": {"name": name, "arguments": arguments}}]}


def test_a_turn_is_read_from_its_chunks() -> None:
    assert read(*CHAT[:-1], DONE) == Answer(
        model="gpt-4.1",
        response_id="chatcmpl-1",
        stop_reason="tool_calls",
        refusal=True,
        usage=Usage(input=45 - 5 - 1, cache_read=5, cache_write=1, output=20, reasoning=2),
        tools=(ToolCall("call_1", "ls", "{}", 0),),
        events=5,
        first_token_ms=2.0,
        last_token_ms=3.0,
        complete=True,
        text_chars=len("I write.") + len("No."),
    )


def test_the_usage_may_come_in_a_chunk_without_choices_or_with_the_last_one() -> None:
    usage = {"prompt_tokens": 45, "completion_tokens": 20, "total_tokens": 65}
    alone = read(chunk({"content": "a"}, usage=None), chunk({}, "stop", usage=None), chunk(usage=usage), DONE)
    together = read(chunk({"content": "a"}), chunk({}, "stop", usage=usage), DONE)
    with_text = read(chunk({"content": ""}), chunk({"content": "a"}, usage=usage), DONE)
    assert alone.usage == together.usage == with_text.usage == Usage(input=45, output=20)
    assert alone.text_chars == together.text_chars == with_text.text_chars == 1


def test_without_usage_nothing_is_known_of_it() -> None:
    answer = read(chunk({"content": "a"}), chunk({}, "stop"), DONE)
    assert (answer.usage, answer.complete) == (Usage(), True)


def test_a_later_report_without_details_does_not_count_cached_tokens_twice() -> None:
    first = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 80}}
    answer = read(chunk({"content": "a"}, usage=first), chunk(usage={"prompt_tokens": 100, "completion_tokens": 9}))
    assert answer.usage == Usage(input=20, cache_read=80, output=9)


@pytest.mark.parametrize(
    "body",
    [
        chunk(x_groq={"id": "req_1", "usage": {"prompt_tokens": 45, "completion_tokens": 20}}),
        {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 45, "completion_tokens": 20}}]},
    ],
    ids=["groq", "moonshot"],
)
def test_the_usage_is_found_where_others_put_it(body: object) -> None:
    assert read(chunk({"content": "a"}), body).usage == Usage(input=45, output=20)


def test_the_last_words_may_come_with_the_reason_to_end() -> None:
    answer = read(chunk({"content": "a"}), chunk({"content": "b"}, "length"))
    assert (answer.text_chars, answer.stop_reason) == (2, "length")


CALLS: list[tuple[str, list[dict[str, Any]], list[ToolCall]]] = [
    (
        "interleaved",
        [call(0, "{", "a", "A"), call(1, "[", "b", "B"), call(0, "}"), call(1, "]")],
        [ToolCall("a", "A", "{}", 0), ToolCall("b", "B", "[]", 1)],
    ),
    ("begun by their number", [call(3, "{", "a", "A"), call(3, "}")], [ToolCall("a", "A", "{}", 0)]),
    ("without a number", [call(None, "{", "a", "A"), call(None, "}")], [ToolCall("a", "A", "{}", 0)]),
    (
        "all with one number",
        [call(0, "{}", "a", "A"), call(0, "{", "b", "B"), call(0, "}")],
        [ToolCall("a", "A", "{}", 0), ToolCall("b", "B", "{}", 1)],
    ),
    ("id repeated", [call(0, "{", "a", "A"), call(0, "}", "a", "A")], [ToolCall("a", "A", "{}", 0)]),
    (
        "two at once",
        [{"tool_calls": [*call(0, "{}", "a", "A")["tool_calls"], *call(1, "[]", "b", "B")["tool_calls"]]}],
        [ToolCall("a", "A", "{}", 0), ToolCall("b", "B", "[]", 1)],
    ),
    (
        "custom",
        [{"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "A", "input": "x"}}]}],
        [ToolCall("a", "A", "x", 0)],
    ),
]


@pytest.mark.parametrize("deltas, expected", [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_calls_are_read_by_their_number(deltas: list[object], expected: list[ToolCall]) -> None:
    assert list(read(*(chunk(delta) for delta in deltas), chunk({}, "tool_calls")).tools) == expected
    assert all(tool.cut for tool in read(*(chunk(delta) for delta in deltas)).tools)


def test_calls_of_several_choices_are_kept_apart() -> None:
    answer = read(
        chunk(call(0, "{", "a", "A")), chunk(call(0, "[", "b", "B"), index=1), chunk(call(0, "}")), chunk({}, "stop")
    )
    assert list(answer.tools) == [ToolCall("a", "A", "{}", 0), ToolCall("b", "B", "[", 1, cut=True)]


PIECES = [
    ({"content": "a"}, True),
    ({"content": "\n"}, True),
    ({"content": ""}, False),
    ({"role": "assistant", "content": None}, False),
    ({"reasoning_content": "a"}, True),
    ({"reasoning": "a"}, True),
    ({"refusal": "a"}, True),
    (call(0), True),
    ({}, False),
]


@pytest.mark.parametrize("delta, is_piece", PIECES)
def test_tokens_have_the_time_of_their_piece(delta: object, is_piece: bool) -> None:
    answer = read(chunk({"role": "assistant", "content": ""}), chunk(delta), chunk({}, "stop"), DONE)
    assert answer.events == 4
    assert (answer.first_token_ms, answer.last_token_ms) == ((2.0, 2.0) if is_piece else (None, None))


def test_text_of_every_choice_is_counted() -> None:
    both = {"id": "c", "model": "m", "choices": [{"delta": {"content": "ab"}, "finish_reason": None}] * 2}
    assert read(both, both).text_chars == 8


@pytest.mark.parametrize(
    "body, refusal",
    [
        (chunk({"refusal": "No."}), True),
        (chunk({}, "content_filter"), True),
        (chunk({"refusal": None}, "stop"), False),
        (chunk({}, "length"), False),
    ],
)
def test_a_refusal_is_one(body: object, refusal: bool) -> None:
    assert read(body).refusal is refusal


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"error": {"message": "no", "type": "server_error", "code": None}}, "server_error"),
        ({"error": {"message": "no", "type": "requests", "code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        ({"error": "no"}, "error"),
        ({"error": None, "choices": []}, ""),
    ],
)
def test_an_error_is_named(body: object, kind: str) -> None:
    answer = read(chunk({"content": "a"}), body)
    assert (answer.error, answer.complete, answer.text_chars) == (kind, False, 1)
    assert (whole("openai-chat", body).error, whole("openai-chat", body).complete) == (kind, not kind)


@pytest.mark.parametrize(
    "tier, known", [("default", ""), ("auto", ""), ("flex", "flex"), ("Priority", "priority"), (None, "")]
)
def test_the_tier_is_named_where_it_is_not_the_standard(tier: object, known: str) -> None:
    assert read(chunk({"content": "a"}, service_tier=tier)).usage.tier == known


def test_a_completion_that_was_not_streamed() -> None:
    message = {
        "content": "I write.",
        "refusal": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "A", "arguments": '{"x": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "B", "arguments": "{}"}},
        ],
    }
    body = {
        "id": "chatcmpl-1",
        "model": "gpt-4.1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 45, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 5}},
    }
    assert whole("openai-chat", body) == Answer(
        model="gpt-4.1",
        response_id="chatcmpl-1",
        stop_reason="tool_calls",
        usage=Usage(input=40, cache_read=5, output=20),
        tools=(ToolCall("a", "A", '{"x": 1}', 0), ToolCall("b", "B", "{}", 1)),
        complete=True,
        text_chars=8,
    )
