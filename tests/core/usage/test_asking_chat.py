"""Requests of the Chat Completions API, as opencode and the SDK send them."""

from typing import Any

import pytest

from codemie_core.usage.asked import ToolResult
from codemie_core.usage.asking_chat import asked_of_chat

PATH = "/v1/chat/completions"
SYSTEM = {"role": "system", "content": "You are OpenCode.\n<env>\n  Working directory: /srv/dev/project\n</env>"}
PROMPT = {"role": "user", "content": "Please write a file."}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}],
}


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"model": "gpt-x", "messages": list(messages), "stream": True}


def test_a_prompt_is_counted() -> None:
    asked = asked_of_chat(PATH, chat(SYSTEM, PROMPT))
    assert (asked.model, asked.stream, asked.prompts, asked.results) == ("gpt-x", True, 1, ())


def test_results_come_by_id_and_their_success_is_unknown() -> None:
    told = [{"role": "tool", "tool_call_id": id_, "content": "Error: no"} for id_ in ("call_1", "call_2")]
    asked = asked_of_chat(PATH, chat(SYSTEM, PROMPT, CALLED, *told))
    assert asked.prompts == 0
    assert asked.results == (ToolResult("call_1", "", None), ToolResult("call_2", "", None))


def test_results_of_functions_come_by_name() -> None:
    asked = asked_of_chat(PATH, chat(PROMPT, CALLED, {"role": "function", "name": "weather", "content": "{}"}))
    assert asked.results == (ToolResult("", "weather", None),)


def test_a_title_of_opencode_is_no_prompt() -> None:
    title = {"role": "system", "content": "You are a title generator. You output ONLY a thread title."}
    assert asked_of_chat(PATH, chat(title, {"role": "user", "content": "Generate a title:"}, PROMPT)).prompts == 0


@pytest.mark.parametrize("part", [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "input_audio"}])
def test_an_image_or_a_sound_alone_is_a_prompt(part: dict[str, Any]) -> None:
    assert asked_of_chat(PATH, chat({"role": "user", "content": [part]})).prompts == 1


def test_text_parts_are_a_prompt() -> None:
    assert asked_of_chat(PATH, chat({"role": "user", "content": [{"type": "text", "text": "hi"}]})).prompts == 1


def test_the_folder_is_what_opencode_says() -> None:
    assert asked_of_chat(PATH, chat(SYSTEM, PROMPT)).folder == "/srv/dev/project"
