"""Readers of answers, fed with events; and answers that hold every place a reader looks at, to put garbage there."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.draft import LONGEST_ARGUMENTS, MOST_CALLS
from codemie_core.usage.json_values import LARGEST_COUNT
from codemie_core.usage.reader import Reader
from codemie_core.usage.readers import reader_for

type Body = Mapping[str, Any]


def event(body: object, *, spaced: bool = False, named: bool = True) -> SseEvent:
    """One event as the APIs send it: without spaces in its JSON, named by its type where it has one."""
    data = body if isinstance(body, str) else json.dumps(body, separators=(", ", ": ") if spaced else (",", ":"))
    kind = body.get("type") if isinstance(body, dict) and named else None
    return SseEvent(kind if isinstance(kind, str) else "message", data, None, None)


def fresh(api: str) -> Reader:
    reader = reader_for(api)
    assert reader is not None
    return reader


def streamed(api: str, *bodies: object, spaced: bool = False, named: bool = True) -> Answer:
    """The answer that these events make, one per millisecond: the first arrives at 1."""
    reader = fresh(api)
    for at_ms, body in enumerate(bodies, 1):
        reader.feed(event(body, spaced=spaced, named=named), float(at_ms))
    return reader.answer()


def whole(api: str, body: object) -> Answer:
    reader = fresh(api)
    reader.whole(body)
    return reader.answer()


def wrong_with(answer: Answer) -> list[str]:
    """What no answer may look like, whatever was fed."""
    usage = answer.usage
    counts = (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning)
    numbers = [number for number in (*counts, *usage.server_tools.values()) if number is not None]
    words = [answer.model, answer.response_id, answer.stop_reason, answer.error, usage.tier, *usage.server_tools]
    words += [word for call in answer.tools for word in (call.id, call.name)]
    problems = [f"{number!r} is no count" for number in numbers if type(number) is not int or number < 0]
    problems += [f"{number} is too large" for number in numbers if number > 100 * LARGEST_COUNT]
    problems += [f"{word!r} is no word" for word in words if not _is_word(word)]
    problems += ["too many calls"] * (len(answer.tools) > MOST_CALLS)
    problems += ["too long"] * any(len(call.arguments) > LONGEST_ARGUMENTS for call in answer.tools)
    problems += ["wrong index"] * ([call.index for call in answer.tools] != list(range(len(answer.tools))))
    problems += ["half a character"] * any(not _is_text(call.arguments) for call in answer.tools)
    problems += ["time runs back"] * ((answer.first_token_ms or 0) > (answer.last_token_ms or 0))
    return problems


def _is_word(word: object) -> bool:
    return isinstance(word, str) and len(word) <= 200 and word.isprintable() and _is_text(word)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value within this one, itself first."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def with_value_at(body: Any, path: tuple[str | int, ...], value: object) -> Any:
    """A copy with another value there."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**13, 10**400)
    | st.floats()
    | st.text(st.characters() | st.sampled_from("\ud83d\ude00\0\n\x7f\u2028")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
"""Any JSON value, with what Python's parser lets through beside."""

ANTHROPIC: list[Body] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "model": "claude-sonnet-4-5",
            "stop_reason": None,
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 42,
                "cache_read_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 2},
                "output_tokens": 1,
                "service_tier": "standard",
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "I write."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "output_tokens": 37,
            "server_tool_use": {"web_search_requests": 1},
            "output_tokens_details": {"thinking_tokens": 4},
            "iterations": [{"type": "compaction", "input_tokens": 5, "output_tokens": 6}],
        },
    },
    {"type": "message_stop"},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
]
CHAT: list[Body] = [
    {
        "id": "chatcmpl-1",
        "model": "gpt-4.1",
        "service_tier": "default",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
    },
    {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "I write."}, "finish_reason": None}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "reasoning_content": "Hm.",
                    "refusal": "No.",
                    "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "ls", "arguments": "{}"}}],
                },
                "finish_reason": "tool_calls",
            }
        ]
    },
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 45,
            "completion_tokens": 20,
            "total_tokens": 65,
            "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
            "prompt_cache_hit_tokens": 5,
        },
        "x_groq": {"usage": {"prompt_tokens": 45}},
    },
    {"error": {"code": "server_error", "message": "no", "type": "server_error"}},
]
RESPONSES: list[Body] = [
    {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5", "service_tier": "auto"}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "I write."},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1", "delta": "{"},
    {"type": "response.function_call_arguments.done", "output_index": 1, "item_id": "fc_1", "arguments": "{}"},
    {
        "type": "response.output_item.done",
        "output_index": 1,
        "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": "{}"},
    },
    {
        "type": "response.output_item.done",
        "output_index": 2,
        "item": {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    },
    {"type": "error", "code": "server_error", "error": {"code": "x"}},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1",
            "status": "completed",
            "model": "gpt-5",
            "service_tier": "default",
            "incomplete_details": {"reason": "max_output_tokens"},
            "error": {"code": "server_error"},
            "tool_usage": {"web_search": {"num_requests": 1}},
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "Yes."}]},
                {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin"},
            ],
            "usage": {
                "input_tokens": 27,
                "input_tokens_details": {"cached_tokens": 7},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 3},
                "total_tokens": 47,
            },
        },
    },
]
GEMINI: list[Body] = [
    {"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": True}, {"text": "I write."}]}, "index": 0}]},
    {"response": {"candidates": [{"content": {"parts": [{"functionCall": {"name": "ls", "args": {"a": 1}}}]}}]}},
    {
        "candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
        "promptFeedback": {"blockReason": None},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        "usageMetadata": {
            "promptTokenCount": 30,
            "cachedContentTokenCount": 10,
            "toolUsePromptTokenCount": 4,
            "candidatesTokenCount": 12,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 51,
            "trafficType": "ON_DEMAND",
        },
    },
    {"error": {"code": 503, "status": "UNAVAILABLE", "message": "no"}},
]
EXAMPLES: dict[str, list[Body]] = {
    "anthropic": ANTHROPIC,
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "gemini": GEMINI,
}
WHOLE: dict[str, Body] = {
    "anthropic": {
        **ANTHROPIC[0]["message"],
        "type": "message",
        "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "I write."},
            {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {"a": 1}},
        ],
    },
    "openai-chat": {
        "id": "chatcmpl-1",
        "model": "gpt-4.1",
        "choices": [{"index": 0, "message": CHAT[2]["choices"][0]["delta"], "finish_reason": "stop"}],
        "usage": CHAT[3]["usage"],
    },
    "openai-responses": RESPONSES[-1]["response"],
    "gemini": GEMINI[2],
}
