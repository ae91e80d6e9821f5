"""What is read out of a request, whichever API it is for and whatever nonsense it holds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.usage.apis import ANTHROPIC, CHAT, GEMINI, MODEL_APIS, RESPONSES
from codemie_core.usage.asked import Asked
from codemie_core.usage.asking import asked_of

GEMINI_PATH = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
WORDS = ["role", "type", "content", "parts", "input", "messages", "contents", "text", "user", "assistant", "model"]
WORDS += ["tool", "tool_result", "tool_use_id", "is_error", "function_call_output", "output", "functionResponse"]
WORDS += ["system", "tools", "metadata", "user_id", "session", "<system-reminder>", "</system-reminder>", "image"]

names = st.sampled_from(WORDS) | st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | names
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)


def said(api: str, text: str) -> dict[str, Any]:
    """A request with one prompt."""
    if api == GEMINI:
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    key = "input" if api == RESPONSES else "messages"
    return {"model": "m", key: [{"role": "user", "content": text}]}


@pytest.mark.parametrize("api", MODEL_APIS)
def test_a_prompt_is_counted_and_its_words_are_not_kept(api: str) -> None:
    asked = asked_of(api, GEMINI_PATH, said(api, "hunter2 is my secret"))
    assert asked is not None
    assert asked.prompts == 1
    assert asked.prompt_mark
    assert "hunter2" not in repr(asked)


@pytest.mark.parametrize("api", MODEL_APIS)
def test_the_same_prompt_sent_again_has_the_same_mark(api: str) -> None:
    marks = {asked.prompt_mark for _ in range(2) if (asked := asked_of(api, GEMINI_PATH, said(api, "go on")))}
    other = asked_of(api, GEMINI_PATH, said(api, "go back"))
    assert len(marks) == 1
    assert other is not None
    assert other.prompt_mark not in marks


@pytest.mark.parametrize("api", MODEL_APIS)
def test_a_request_without_words_asks_without_a_prompt(api: str) -> None:
    asked = asked_of(api, GEMINI_PATH, {})
    assert asked is not None
    assert (asked.prompts, asked.prompt_mark, asked.results) == (0, "", ())


@pytest.mark.parametrize("body", [None, [], "text", 7, [{"role": "user"}]])
def test_a_body_that_is_no_object_asks_for_nothing(body: object) -> None:
    assert asked_of(ANTHROPIC, "/v1/messages", body) is None


def test_an_unknown_api_asks_for_nothing() -> None:
    assert asked_of("", "/v1/messages", said(CHAT, "hello")) is None


@pytest.mark.parametrize("api", MODEL_APIS)
@settings(max_examples=150)
@given(body=st.dictionaries(names, json_values, max_size=6), path=st.text(max_size=30) | st.just(GEMINI_PATH))
def test_no_body_raises(api: str, body: dict[str, object], path: str) -> None:
    assert isinstance(asked_of(api, path, body), Asked)


@pytest.mark.parametrize("api", MODEL_APIS)
@settings(max_examples=100)
@given(turns=st.lists(st.dictionaries(names, json_values, max_size=4), max_size=5))
def test_no_conversation_raises(api: str, turns: list[dict[str, object]]) -> None:
    body = {"messages": turns, "input": turns, "contents": turns, "system": turns}
    assert isinstance(asked_of(api, "/", body), Asked)


@pytest.mark.parametrize("api", MODEL_APIS)
def test_halves_of_characters_do_no_harm(api: str) -> None:
    asked = asked_of(api, GEMINI_PATH, said(api, json.loads('"\\ud83d"')))
    assert asked is not None
    assert asked.prompts == 1
