from typing import Any

import pytest

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.usage import Usage
from support.reading import ANTHROPIC, streamed, whole

START, *_ = ANTHROPIC
STOP = {"type": "message_stop"}


def read(*bodies: object) -> Answer:
    return streamed("anthropic", *bodies)


def started(**usage: object) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": usage}}


def ended(reason: str = "end_turn", **usage: object) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def block(index: int, kind: str, **fields: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def arguments(index: int, piece: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=piece)


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def test_a_turn_is_read_from_its_events() -> None:
    assert read(*ANTHROPIC[:-1]) == Answer(
        model="claude-sonnet-4-5",
        response_id="msg_1",
        stop_reason="tool_use",
        usage=Usage(
            input=3 + 5,
            cache_read=7,
            cache_write=42,
            cache_write_1h=2,
            output=37 + 6,
            reasoning=4,
            server_tools={"web_search": 1},
        ),
        tools=(ToolCall("toolu_1", "Write", '{"a": 1}', 0),),
        events=10,
        first_token_ms=3.0,
        last_token_ms=7.0,
        complete=True,
        text_chars=8,
    )


FULL = {"input_tokens": 3, "cache_creation_input_tokens": 42, "cache_read_input_tokens": 7, "output_tokens": 1}
USAGES: list[tuple[str, list[dict[str, Any]], Usage]] = [
    ("only the start", [FULL], Usage(3, 7, 42, None, 1)),
    ("the last output wins", [FULL, {"output_tokens": 9}, {"output_tokens": 30}], Usage(3, 7, 42, None, 30)),
    ("everything repeated", [FULL, {**FULL, "output_tokens": 30}], Usage(3, 7, 42, None, 30)),
    ("input known at the end", [{"input_tokens": 0, "output_tokens": 0}, {**FULL}], Usage(3, 7, 42, None, 1)),
    ("null replaces nothing", [FULL, dict.fromkeys(FULL)], Usage(3, 7, 42, None, 1)),
    (
        "a split",
        [{"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}}],
        Usage(None, None, 3, 2),
    ),
    (
        "a split stays when only the total is repeated",
        [{**FULL, "cache_creation": {"ephemeral_1h_input_tokens": 40}}, {"cache_creation_input_tokens": 42}],
        Usage(3, 7, 42, 40, 1),
    ),
    ("half a split is no total", [{"cache_creation": {"ephemeral_1h_input_tokens": 2}}], Usage(cache_write_1h=2)),
    ("standard tier", [{**FULL, "service_tier": "standard"}], Usage(3, 7, 42, None, 1)),
    ("batch tier", [{**FULL, "service_tier": "batch"}, {"output_tokens": 2}], Usage(3, 7, 42, None, 2, tier="batch")),
    ("fast mode", [{**FULL, "service_tier": "standard", "speed": "fast"}], Usage(3, 7, 42, None, 1, tier="fast")),
    ("thinking", [{"output_tokens_details": {"thinking_tokens": 8}}], Usage(reasoning=8)),
    (
        "server tools",
        [
            {"server_tool_use": {"web_search_requests": 0}},
            {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}},
        ],
        Usage(server_tools={"web_search": 2}),
    ),
    (
        "a compaction is billed beside",
        [FULL, {"iterations": [{"type": "compaction", **FULL, "output_tokens": 100}, {"type": "message", **FULL}]}],
        Usage(6, 14, 84, None, 101),
    ),
    (
        "the latest list of compactions counts",
        [FULL, *[{"iterations": [{"type": "compaction", "input_tokens": 5, "output_tokens": 1}]}] * 2],
        Usage(8, 7, 42, None, 2),
    ),
]


@pytest.mark.parametrize("said, expected", [row[1:] for row in USAGES], ids=[row[0] for row in USAGES])
def test_counts_are_cumulative(said: list[dict[str, Any]], expected: Usage) -> None:
    first, *later = said
    assert read(started(**first), *(ended(**usage) for usage in later)).usage == expected


def test_a_fallback_model_is_the_one_that_served() -> None:
    turns = [{"type": "message", "model": "claude-a"}, {"type": "fallback_message", "model": "claude-b"}]
    assert read(started(), ended(iterations=turns)).model == "claude-b"


CALLS: list[tuple[str, list[dict[str, Any]], list[ToolCall]]] = [
    (
        "interleaved",
        [
            *(block(1, "tool_use", id="a", name="A", input={}), block(2, "tool_use", id="b", name="B", input={})),
            *(arguments(1, '{"x"'), arguments(2, "{"), arguments(1, ": 1}"), arguments(2, "}"), stopped(2), stopped(1)),
        ],
        [ToolCall("a", "A", '{"x": 1}', 0), ToolCall("b", "B", "{}", 1)],
    ),
    (
        "without arguments",
        [block(0, "tool_use", id="a", name="A", input={}), stopped(0)],
        [ToolCall("a", "A", "{}", 0)],
    ),
    (
        "arguments announced whole",
        [block(0, "tool_use", id="a", name="A", input={"x": "é"}), stopped(0)],
        [ToolCall("a", "A", '{"x":"é"}', 0)],
    ),
    (
        "ended by the message",
        [block(0, "tool_use", id="a", name="A"), arguments(0, "{}"), STOP],
        [ToolCall("a", "A", "{}", 0)],
    ),
    ("cut", [block(0, "tool_use", id="a", name="A"), arguments(0, '{"x"')], [ToolCall("a", "A", '{"x"', 0, cut=True)]),
    ("run by the server", [block(0, "server_tool_use", id="s", name="web_search"), arguments(0, "{}"), stopped(0)], []),
    ("of an unknown block", [arguments(3, "{}"), stopped(3)], []),
]


@pytest.mark.parametrize("bodies, expected", [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_calls_are_read_by_their_block(bodies: list[object], expected: list[ToolCall]) -> None:
    assert list(read(*bodies).tools) == expected


PIECES = [
    (delta(0, "text_delta", text="a"), True),
    (delta(0, "text_delta", text='"'), True),
    (delta(0, "text_delta", text=""), False),
    (delta(0, "thinking_delta", thinking="a"), True),
    (delta(0, "thinking_delta", thinking="\n"), True),
    (delta(0, "thinking_delta", thinking=""), False),
    (arguments(0, "{"), True),
    (arguments(0, ""), False),
    (delta(0, "signature_delta", signature="a"), False),
    (delta(0, "citations_delta", citation={"cited_text": "a"}), False),
    (block(0, "text", text=""), False),
    (block(0, "text", text="a"), True),
    (block(0, "thinking", thinking=""), False),
    (block(0, "redacted_thinking", data="a"), True),
    (block(0, "tool_use", id="a", name="A"), True),
    (block(0, "server_tool_use", id="a", name="web_search"), True),
    (block(0, "web_search_tool_result", content=[]), False),
    ({"type": "ping"}, False),
    (ended(output_tokens=3), False),
]


@pytest.mark.parametrize("body, is_piece", PIECES)
def test_tokens_have_the_time_of_their_piece(body: object, is_piece: bool) -> None:
    answer = read(started(), {"type": "ping"}, body, {"type": "ping"})
    assert answer.events == 4
    assert (answer.first_token_ms, answer.last_token_ms) == ((3.0, 3.0) if is_piece else (None, None))


def test_a_refusal_is_one() -> None:
    assert read(started(), ended("refusal")).refusal
    assert not read(started(), ended("end_turn")).refusal


def test_an_error_ends_the_answer_incomplete() -> None:
    answer = read(START, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (answer.error, answer.complete, answer.usage.input) == ("overloaded_error", False, 3)


def test_a_message_that_was_not_streamed() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "I write."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "a", "name": "A", "input": {"x": [1, "é"]}},
        {"type": "tool_use", "id": "b", "name": "B", "input": {}},
    ]
    body = {
        "id": "msg_1",
        "type": "message",
        "model": "claude",
        "content": content,
        "stop_reason": "tool_use",
        "usage": FULL,
    }
    assert whole("anthropic", body) == Answer(
        model="claude",
        response_id="msg_1",
        stop_reason="tool_use",
        usage=Usage(3, 7, 42, None, 1),
        tools=(ToolCall("a", "A", '{"x":[1,"é"]}', 0), ToolCall("b", "B", "{}", 1)),
        complete=True,
        text_chars=8,
    )


def test_an_error_body_is_no_answer() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "no"}}
    assert whole("anthropic", body) == Answer(error="rate_limit_error")
