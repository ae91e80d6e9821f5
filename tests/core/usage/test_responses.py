from typing import Any

import pytest

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.responses import event_type
from codemie_core.usage.usage import Usage
from support.reading import RESPONSES, event, fresh, streamed, whole

COUNTS = {"input_tokens": 27, "output_tokens": 20, "total_tokens": 47}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5", "status": "in_progress"}}


def read(*bodies: object) -> Answer:
    return streamed("openai-responses", *bodies)


def last(status: str = "completed", **fields: object) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "gpt-5", "status": status, "usage": COUNTS, **fields}
    return {"type": f"response.{status}", "response": response}


def item(kind: str, index: int, done: bool, **fields: object) -> dict[str, Any]:
    event_kind = "response.output_item." + ("done" if done else "added")
    return {"type": event_kind, "output_index": index, "item": {"type": kind, "id": f"i{index}", **fields}}


def function(index: int, done: bool, arguments: str = "", **fields: object) -> dict[str, Any]:
    return item("function_call", index, done, call_id="a", name="A", arguments=arguments, **fields)


def delta(kind: str, piece: str, index: int = 0, **fields: object) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "item_id": "i0", "output_index": index, "delta": piece, **fields}


def piece(arguments: str, index: int = 0) -> dict[str, Any]:
    return delta("function_call_arguments", arguments, index)


def test_a_turn_is_read_from_its_events() -> None:
    answer = read(*(body for body in RESPONSES if body["type"] != "error"))
    assert answer == Answer(
        model="gpt-5",
        response_id="resp_1",
        stop_reason="completed",
        usage=Usage(input=20, cache_read=7, output=20, reasoning=3, server_tools={"web_search": 1}),
        tools=(ToolCall("call_1", "ls", "{}", 0),),
        events=8,
        first_token_ms=2.0,
        last_token_ms=4.0,
        complete=True,
        text_chars=8,
    )


ENDS = [
    (last(), "completed", "", False),
    (last("incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_output_tokens", "", False),
    (last("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter", "", True),
    (last("incomplete"), "incomplete", "", False),
    (last("failed", error={"code": "server_error", "message": "no"}), "failed", "server_error", False),
    ({"type": "response.completed", "response": {"usage": COUNTS}}, "completed", "", False),
    ({"type": "response.done", "response": {"status": "completed", "usage": COUNTS}}, "completed", "", False),
]


@pytest.mark.parametrize("body, reason, error, refusal", ENDS)
def test_the_last_event_tells_how_it_ended_and_what_it_took(
    body: object, reason: str, error: str, refusal: bool
) -> None:
    answer = read(CREATED, delta("output_text", "a"), body)
    assert (answer.stop_reason, answer.error, answer.refusal) == (reason, error, refusal)
    assert (answer.complete, answer.usage, answer.text_chars) == (True, Usage(input=27, output=20), 1)


CALLS: list[tuple[str, list[dict[str, Any]], list[ToolCall]]] = [
    (
        "in pieces",
        [function(0, False), piece("{"), piece("}"), function(0, True, "{}", status="completed")],
        [ToolCall("a", "A", "{}", 0)],
    ),
    ("only whole", [function(3, True, "{}")], [ToolCall("a", "A", "{}", 0)]),
    ("cut", [function(0, False), piece('{"x"')], [ToolCall("a", "A", '{"x"', 0, cut=True)]),
    (
        "all arguments are there, the item is not ended",
        [
            *(function(0, False), piece("{")),
            {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"},
        ],
        [ToolCall("a", "A", "{}", 0)],
    ),
    (
        "incomplete",
        [function(0, False), piece("{"), function(0, True, "{", status="incomplete")],
        [ToolCall("a", "A", "{", 0, cut=True)],
    ),
    (
        "interleaved",
        [
            function(0, False),
            function(2, False),
            piece("{", 0),
            piece("[", 2),
            piece("]", 2),
            piece("}", 0),
            function(2, True, "[]"),
            function(0, True, "{}"),
        ],
        [ToolCall("a", "A", "{}", 0), ToolCall("a", "A", "[]", 1)],
    ),
    (
        "known by the item, without a number",
        [
            {**function(0, False), "output_index": None},
            {**piece("{}"), "output_index": None},
            {**function(0, True, "{}"), "output_index": None},
        ],
        [ToolCall("a", "A", "{}", 0)],
    ),
    (
        "custom",
        [
            item("custom_tool_call", 0, False, call_id="a", name="apply_patch", input=""),
            delta("custom_tool_call_input", "*** Begin"),
            {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "*** Begin Patch"},
        ],
        [ToolCall("a", "apply_patch", "*** Begin Patch", 0)],
    ),
    (
        "of a shell",
        [item("local_shell_call", 0, True, call_id="a", action={"type": "exec", "command": ["ls"]})],
        [ToolCall("a", "local_shell", '{"type":"exec","command":["ls"]}', 0)],
    ),
    (
        "of a search for tools, by the client and by the server",
        [
            item("tool_search_call", 0, True, call_id="a", execution="client", arguments={"q": "x"}),
            item("tool_search_call", 1, True, call_id="b", execution="server", arguments={"q": "x"}),
        ],
        [ToolCall("a", "tool_search", '{"q":"x"}', 0)],
    ),
    ("results of earlier calls", [item("function_call_output", 0, True, call_id="a", output="x")], []),
]


@pytest.mark.parametrize("bodies, expected", [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_calls_are_read_by_their_item(bodies: list[object], expected: list[ToolCall]) -> None:
    assert list(read(*bodies).tools) == expected


def test_what_no_item_told_is_read_from_the_last_event() -> None:
    output = [
        {"type": "message", "content": [{"type": "output_text", "text": "I write."}]},
        {"type": "function_call", "call_id": "a", "name": "A", "arguments": "{}"},
    ]
    answer = read(CREATED, last(output=output))
    assert (answer.text_chars, list(answer.tools)) == (8, [ToolCall("a", "A", "{}", 0)])
    told = read(CREATED, delta("output_text", "I write."), function(1, True, "{}"), last(output=output))
    assert (told.text_chars, told.tools) == (answer.text_chars, answer.tools)


SERVER_CALLS: list[tuple[str, list[dict[str, Any]], dict[str, int]]] = [
    ("searches", [item("web_search_call", n, True, action={"type": "search"}) for n in (0, 2)], {"web_search": 2}),
    ("only begun", [item("web_search_call", 0, False)], {}),
    ("opened a page", [item("web_search_call", 0, True, action={"type": "open_page"})], {}),
    ("failed", [item("web_search_call", 0, True, status="failed")], {}),
    (
        "several",
        [item("file_search_call", 0, True), item("code_interpreter_call", 1, True), item("mcp_call", 2, True)],
        {"file_search": 1, "code_interpreter": 1, "mcp": 1},
    ),
    (
        "the API's own count",
        [item("web_search_call", n, True) for n in (0, 1)] + [last(tool_usage={"web_search": {"num_requests": 1}})],
        {"web_search": 1},
    ),
    (
        "nothing to pay",
        [item("web_search_call", 0, True), last(tool_usage={"web_search": {"num_requests": 0}})],
        {},
    ),
]


@pytest.mark.parametrize("bodies, expected", [row[1:] for row in SERVER_CALLS], ids=[row[0] for row in SERVER_CALLS])
def test_tools_of_the_provider_are_counted(bodies: list[object], expected: dict[str, int]) -> None:
    answer = read(*bodies)
    assert (answer.usage.server_tools, answer.tools) == (expected, ())


PIECES = [
    (delta("output_text", "a", logprobs=[]), True),
    (delta("output_text", "\n"), True),
    (delta("output_text", ""), False),
    (delta("reasoning_summary_text", "a"), True),
    (delta("reasoning_text", "a"), True),
    (delta("refusal", "a"), True),
    (piece("{"), True),
    (function(0, False), True),
    (function(0, True, "{}"), False),
    (item("web_search_call", 0, False), True),
    (item("message", 0, False, content=[]), False),
    ({"type": "response.output_text.done", "text": "a"}, False),
    ({"type": "keepalive"}, False),
    (last(), False),
]


@pytest.mark.parametrize("body, is_piece", PIECES)
def test_tokens_have_the_time_of_their_piece(body: object, is_piece: bool) -> None:
    answer = read(CREATED, {"type": "response.in_progress"}, body, {"type": "response.content_part.done"})
    assert answer.events == 4
    assert (answer.first_token_ms, answer.last_token_ms) == ((3.0, 3.0) if is_piece else (None, None))


def test_a_refusal_is_one_and_its_text_is_visible() -> None:
    answer = read(CREATED, delta("refusal", "No."), last())
    assert (answer.refusal, answer.text_chars) == (True, 3)
    untold = whole(
        "openai-responses", {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}
    )
    assert (untold.refusal, untold.text_chars) == (True, 3)


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "no"}, "rate_limit_exceeded"),
        ({"type": "error", "status": 429, "error": {"type": "usage_limit_reached"}}, "usage_limit_reached"),
        ({"type": "error"}, "error"),
    ],
)
def test_an_error_is_named_and_the_answer_stays_incomplete(body: object, kind: str) -> None:
    answer = read(CREATED, delta("output_text", "a"), body)
    assert (answer.error, answer.complete, answer.model, answer.text_chars) == (kind, False, "gpt-5", 1)


@pytest.mark.parametrize(
    "asked, served, tier", [("auto", "default", ""), ("auto", "priority", "priority"), ("flex", None, "flex")]
)
def test_the_tier_is_the_one_it_was_served_as(asked: object, served: object, tier: str) -> None:
    created = {"type": "response.created", "response": {"id": "resp_1", "service_tier": asked}}
    assert read(created, last(service_tier=served)).usage.tier == tier


def test_long_items_that_are_no_calls_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    long = item("reasoning", 0, True, encrypted_content="x" * 100_000)
    reader = fresh("openai-responses")
    monkeypatch.setattr("codemie_core.usage.responses.loads", lambda data: pytest.fail(f"parsed {len(data)} bytes"))
    reader.feed(event(long), 1.0)
    reader.feed(event(delta("output_text", "words without escapes")), 2.0)
    assert reader.answer().text_chars == 21


BODY = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "error": None,
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "I write."}]},
        {"type": "function_call", "call_id": "a", "name": "A", "arguments": "{}"},
        {"type": "web_search_call", "action": {"type": "search"}},
    ],
    "usage": COUNTS,
}


def test_a_response_that_was_not_streamed() -> None:
    assert whole("openai-responses", BODY) == Answer(
        model="gpt-5",
        response_id="resp_1",
        stop_reason="completed",
        usage=Usage(input=27, output=20, server_tools={"web_search": 1}),
        tools=(ToolCall("a", "A", "{}", 0),),
        complete=True,
        text_chars=8,
    )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_in_the_background_is_not_complete(status: str) -> None:
    answer = whole("openai-responses", {**BODY, "status": status, "output": [], "usage": None})
    assert (answer.complete, answer.model, answer.usage) == (False, "gpt-5", Usage())


def test_a_compacted_conversation_is_billed() -> None:
    answer = whole("openai-responses", {"id": "resp_1", "object": "response.compaction", "output": [], "usage": COUNTS})
    assert (answer.complete, answer.usage.total) == (True, 47)


def test_an_error_body_is_no_answer() -> None:
    body = {"error": {"message": "no", "type": "invalid_request_error", "code": None}}
    assert whole("openai-responses", body) == Answer(error="invalid_request_error")


@pytest.mark.parametrize(
    "data, kind",
    [
        ('{"type":"response.created","response":{}}', "response.created"),
        ('{ "type" : "error" }', "error"),
        ('{"sequence_number":1,"type":"error"}', "error"),
        ('{"type":7}', ""),
        ("[]", ""),
        ("", ""),
    ],
)
def test_an_event_says_of_what_kind_it_is(data: str, kind: str) -> None:
    assert event_type(data) == kind
