"""One conversation in four APIs' words is one conversation; what is cut or wrong is read as far as it goes."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.inspection.conversation import answering_in, answering_of, asking_of
from codemie_core.inspection.talk import Asking, Kind, Message, Part, paired
from codemie_core.inspection.words import SEALED
from codemie_core.usage.apis import MODEL_APIS
from support import talks
from support.talks import TALKS, Talk

EVERY_API = pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])


def asking(talk: Talk, body: Mapping[str, Any]) -> Asking:
    found = asking_of(talk.api, talk.path, dict(body))
    assert found is not None
    return found


def spoken(talk: Talk, following: bool = False) -> list[tuple[str, Part]]:
    messages = paired(asking(talk, talk.following if following else talk.request).messages)
    return [(message.role, part) for message in messages for part in message.parts]


@EVERY_API
def test_a_request_says_who_is_asked_with_which_orders_and_tools(talk: Talk) -> None:
    found = asking(talk, talk.request)
    model = {"anthropic": "claude-opus-4-5", "gemini": "gemini-2.5-pro"}.get(talk.api, "gpt-5")
    assert (found.model, found.stream, found.system, found.tools) == (model, True, (talks.ORDERS,), talks.TOOLS)


@EVERY_API
def test_each_call_is_followed_by_its_result(talk: Talk) -> None:
    ok = True if talk.told else None
    name = "" if talk.ids[0] else "Read"
    assert spoken(talk) == [
        ("user", Part(Kind.TEXT, talks.ASKED)),
        ("assistant", Part(Kind.TEXT, "I look.")),
        ("assistant", Part(Kind.CALL, '{"path": "cart.py"}', "Read", talk.ids[0])),
        ("assistant", Part(Kind.RESULT, talks.READ, name, talk.ids[0], ok)),
    ]


@EVERY_API
def test_a_result_says_that_its_tool_failed_where_the_api_can(talk: Talk) -> None:
    *_, (_, result) = spoken(talk, following=True)
    assert (result.text, result.ok) == (talks.CAME_BACK, False if talk.told else None)


@EVERY_API
def test_a_streamed_answer_is_put_together(talk: Talk) -> None:
    assert answering_of(talk.api, b"".join(talk.events)) == talk.answer


@EVERY_API
def test_what_came_of_a_cut_answer_is_shown(talk: Talk) -> None:
    body = b"".join(talk.events)
    whole = _plain(talk.answer)
    seen = {_plain(answering_of(talk.api, body[:end])) for end in range(0, len(body), 7)}
    assert len(seen) > 3
    for text in seen:
        assert whole.startswith(text)


def _plain(messages: tuple[Message, ...]) -> str:
    """Of a thought that has only begun nobody knows yet that it will be told."""
    text = "".join(part.text for message in messages for part in message.parts)
    return text.replace(SEALED, "").replace("{}", "")


WHOLE: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": talks.THOUGHT},
            {"type": "text", "text": talks.SAID},
            {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": talks.COMMAND}},
        ],
    },
    "openai-chat": {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "reasoning": talks.THOUGHT,
                    "content": talks.SAID,
                    "tool_calls": [
                        {
                            "id": "call_2",
                            "function": {"name": "Bash", "arguments": json.dumps({"command": talks.COMMAND})},
                        }
                    ],
                }
            }
        ]
    },
    "openai-responses": {
        "output": [
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": talks.THOUGHT}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": talks.SAID}]},
            {
                "type": "function_call",
                "call_id": "call_2",
                "name": "Bash",
                "arguments": json.dumps({"command": talks.COMMAND}),
            },
        ]
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": talks.THOUGHT, "thought": True},
                        {"text": talks.SAID},
                        {"functionCall": {"name": "Bash", "args": {"command": talks.COMMAND}}},
                    ],
                }
            }
        ]
    },
}


@EVERY_API
def test_an_answer_that_was_not_streamed_says_the_same(talk: Talk) -> None:
    assert answering_of(talk.api, json.dumps(WHOLE[talk.api]).encode()) == talk.answer


def test_gemini_streams_an_array_where_nobody_asks_for_events() -> None:
    [talk] = [talk for talk in TALKS if talk.api == "gemini"]
    chunks = [event.removeprefix(b"data: ").strip() for event in talk.events]
    assert answering_of("gemini", b"[" + b",\n".join(chunks) + b"]") == talk.answer
    assert answering_of("gemini", b"[" + b",\n".join(chunks)) == talk.answer


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[1]", b"{}", b"data: 1\n\n", b"event: x", b"\xff\xfe"])
@pytest.mark.parametrize("api", MODEL_APIS)
def test_what_is_no_answer_says_nothing(api: str, body: bytes) -> None:
    assert answering_of(api, body) == ()
    assert asking_of(api, "/", None) is None


def test_no_other_api_is_read() -> None:
    assert asking_of("", "/", {}) is None
    assert answering_of("codemie", b"{}") == ()
    assert answering_in("", "", {}) == ()


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


NAMES = sorted(
    {
        text
        for talk in TALKS
        for body in (talk.request, talk.following, *(json.loads(e.partition(b"data: ")[2]) for e in talk.events[:-1]))
        for text in _strings(json.loads(json.dumps(body)))
        if len(text) < 40
    }
)
LEAVES = st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | st.sampled_from(NAMES) | st.text(max_size=5)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from(MODEL_APIS), ANYTHING)
def test_nothing_that_json_can_hold_makes_it_fail(api: str, value: object) -> None:
    body = json.dumps(value, allow_nan=True)
    asking_of(api, "/", value)
    answering_of(api, body.encode())
    answering_of(api, f"data: {body}\n\n".encode())
