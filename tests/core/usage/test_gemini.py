from typing import Any

import pytest

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.usage import Usage
from support.reading import GEMINI, streamed, whole


def read(*bodies: object) -> Answer:
    return streamed("gemini", *bodies)


def chunk(*parts: object, end: str | None = None, **counts: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    ended = {"finishReason": end} if end else {}
    said = {"usageMetadata": counts} if counts else {}
    return {"candidates": [{**candidate, **ended}], "modelVersion": "gemini-2.5-pro", "responseId": "r1", **said}


def call(name: object, args: object = None, **fields: object) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args, **fields}}


def test_a_turn_is_read_from_its_chunks() -> None:
    assert read(*GEMINI[:-1]) == Answer(
        model="gemini-2.5-flash",
        response_id="r1",
        stop_reason="STOP",
        usage=Usage(input=30 + 4 - 10, cache_read=10, output=12 + 5, reasoning=5, server_tools={"google_search": 2}),
        tools=(ToolCall("", "ls", '{"a":1}', 0),),
        events=3,
        first_token_ms=1.0,
        last_token_ms=2.0,
        complete=True,
        text_chars=8,
    )


USAGES: list[tuple[str, dict[str, Any], Usage]] = [
    ("bare", {"promptTokenCount": 30, "candidatesTokenCount": 12, "totalTokenCount": 42}, Usage(30, output=12)),
    (
        "thoughts beside the answer",
        {"promptTokenCount": 30, "candidatesTokenCount": 12, "thoughtsTokenCount": 5, "totalTokenCount": 47},
        Usage(30, output=17, reasoning=5),
    ),
    (
        "cached within the prompt",
        {"promptTokenCount": 30, "cachedContentTokenCount": 10},
        Usage(20, cache_read=10),
    ),
    ("results of a tool beside the prompt", {"promptTokenCount": 30, "toolUsePromptTokenCount": 4}, Usage(34)),
    ("nothing answered, as the total tells", {"promptTokenCount": 30, "totalTokenCount": 30}, Usage(30, output=0)),
    (
        "only thoughts, as the total tells",
        {"promptTokenCount": 30, "thoughtsTokenCount": 5, "totalTokenCount": 35},
        Usage(30, output=5, reasoning=5),
    ),
    (
        "a total that cannot be",
        {"promptTokenCount": 30, "thoughtsTokenCount": 5, "totalTokenCount": 31},
        Usage(30, output=5, reasoning=5),
    ),
    ("more cached than read", {"promptTokenCount": 3, "cachedContentTokenCount": 10}, Usage(3, cache_read=10)),
    ("no prompt", {"candidatesTokenCount": 12}, Usage(output=12)),
    ("no total", {"promptTokenCount": 30}, Usage(30)),
    ("on demand", {"trafficType": "ON_DEMAND"}, Usage()),
    ("flex by traffic", {"trafficType": "ON_DEMAND_FLEX"}, Usage(tier="flex")),
    ("priority by tier", {"serviceTier": "SERVICE_TIER_PRIORITY"}, Usage(tier="priority")),
    ("standard by tier", {"serviceTier": "standard"}, Usage()),
]


@pytest.mark.parametrize("said, expected", [row[1:] for row in USAGES], ids=[row[0] for row in USAGES])
def test_counts_are_put_into_our_measure(said: dict[str, Any], expected: Usage) -> None:
    assert read(chunk(**said)).usage == expected
    assert whole("gemini", chunk(**said)).usage == expected


def test_the_latest_counts_win() -> None:
    early: dict[str, Any] = {"promptTokenCount": 30, "candidatesTokenCount": 2, "totalTokenCount": 32}
    late: dict[str, Any] = {"promptTokenCount": 30, "candidatesTokenCount": 9, "totalTokenCount": 39}
    assert read(chunk(**early), chunk(**late), chunk(end="STOP")).usage == Usage(30, output=9)


def test_calls_have_no_id_of_their_own_and_keep_their_order() -> None:
    parts = [call("ls", {"path": "é"}), call("ls", {"path": "é"}), call("pwd")]
    answer = read(chunk(*parts[:2]), chunk(parts[2], end="STOP"))
    assert list(answer.tools) == [
        ToolCall("", "ls", '{"path":"é"}', 0),
        ToolCall("", "ls", '{"path":"é"}', 1),
        ToolCall("", "pwd", "{}", 2),
    ]


def test_an_id_is_taken_where_there_is_one_and_a_call_that_goes_on_is_cut() -> None:
    (one,) = read(chunk(call("ls", {}, id="a"))).tools
    (other,) = read(chunk(call("ls", willContinue=True)), chunk(call(None))).tools
    assert (one.id, one.cut, other.cut) == ("a", False, True)


PIECES = [
    ({"text": "a"}, 1, True),
    ({"text": ""}, 0, False),
    ({"text": "a", "thought": True}, 0, True),
    (call("ls"), 0, True),
    ({"executableCode": {"code": "1"}}, 0, True),
    ({"codeExecutionResult": {"output": "1"}}, 0, False),
    ({"text": "", "thoughtSignature": "x"}, 0, False),
]


@pytest.mark.parametrize("part, chars, is_piece", PIECES)
def test_tokens_have_the_time_of_their_piece(part: object, chars: int, is_piece: bool) -> None:
    answer = read(chunk(), chunk(part), chunk(end="STOP", promptTokenCount=1))
    assert (answer.events, answer.text_chars) == (3, chars)
    assert (answer.first_token_ms, answer.last_token_ms) == ((2.0, 2.0) if is_piece else (None, None))


@pytest.mark.parametrize(
    "reason, refusal",
    [("STOP", False), ("MAX_TOKENS", False), ("MALFORMED_FUNCTION_CALL", False)]
    + [(word, True) for word in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY")],
)
def test_the_reason_tells_the_end_and_a_refusal(reason: str, refusal: bool) -> None:
    answer = read(chunk({"text": "a"}), chunk(end=reason))
    assert (answer.stop_reason, answer.refusal, answer.complete) == (reason, refusal, True)
    assert not read(chunk({"text": "a"})).complete


def test_a_blocked_prompt_is_a_refusal() -> None:
    answer = read(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}
    )
    assert (answer.stop_reason, answer.refusal, answer.complete) == ("SAFETY", True, True)
    assert answer.usage == Usage(3, output=0)


def test_the_envelope_of_the_code_assist_api_is_opened() -> None:
    body = {"response": chunk({"text": "a"}, end="STOP", promptTokenCount=3), "traceId": "x"}
    plain = chunk({"text": "a"}, end="STOP", promptTokenCount=3)
    assert read(body) == read(plain)
    assert whole("gemini", body) == whole("gemini", plain)


def test_an_error_is_named_by_its_status() -> None:
    body = {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}
    answer = read(chunk({"text": "a"}), body)
    assert (answer.error, answer.complete, answer.text_chars) == ("UNAVAILABLE", False, 1)
    assert whole("gemini", body) == Answer(error="UNAVAILABLE") == whole("gemini", [body])


def test_an_answer_that_was_not_streamed_has_no_times() -> None:
    body = chunk({"text": "a"}, call("ls", {"a": 1}), end="STOP", promptTokenCount=3, candidatesTokenCount=2)
    assert whole("gemini", body) == Answer(
        model="gemini-2.5-pro",
        response_id="r1",
        stop_reason="STOP",
        usage=Usage(3, output=2),
        tools=(ToolCall("", "ls", '{"a":1}', 0),),
        complete=True,
        text_chars=1,
    )


def test_an_array_read_as_a_whole_is_all_its_chunks() -> None:
    answer = whole("gemini", [chunk({"text": "a"}), chunk({"text": "b"}, end="STOP", promptTokenCount=3)])
    assert (answer.text_chars, answer.complete, answer.usage) == (2, True, Usage(3))
