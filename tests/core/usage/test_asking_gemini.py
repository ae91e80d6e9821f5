"""Requests of generateContent, as Gemini CLI 0.61 and google-genai send them."""

from typing import Any

import pytest

from codemie_core.usage.asked import ToolResult
from codemie_core.usage.asking_gemini import asked_of_gemini

PATH = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
CONTEXT = (
    "<session_context>\nThis is the Gemini CLI. We are setting up the context for our chat.\n"
    "Today is Friday, November 20, 2026.\n- **Workspace Directories:**\n  - /srv/dev/project\n</session_context>"
)
CALL = {"functionCall": {"id": "write_file_1_0", "name": "write_file", "args": {}}}
TOOLS: list[dict[str, Any]] = [{"functionDeclarations": []}]


def content(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def response(name: str, said: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": said, **more}}


FIRST = content("user", {"text": CONTEXT}, {"text": "Please write a file."})


def cli(*contents: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {"contents": list(contents), "tools": TOOLS, **changes}


def test_the_first_request_of_gemini_cli_is_one_prompt_in_its_folder() -> None:
    asked = asked_of_gemini(PATH, cli(FIRST))
    assert (asked.model, asked.stream, asked.prompts) == ("gemini-3.8-flash", True, 1)
    assert asked.folder == "/srv/dev/project"


def test_the_context_alone_is_no_prompt() -> None:
    assert asked_of_gemini(PATH, cli(content("user", {"text": CONTEXT}))).prompts == 0


def test_the_router_is_no_prompt() -> None:
    path = "/v1beta/models/gemini-3.5-flash-lite:generateContent"
    asked = asked_of_gemini(path, {"contents": [FIRST]})
    assert (asked.prompts, asked.stream) == (0, False)
    routing = {"parts": [{"text": "\nYou are a specialized Task Routing AI. Your sole function ..."}]}
    late = {"contents": [content("user", {"text": "and now?"})], "systemInstruction": routing}
    assert asked_of_gemini(path, late).prompts == 0


@pytest.mark.parametrize(
    "said, ok", [({"output": "written"}, True), ({"error": "no such file"}, False), ({"result": 7}, True), ({}, True)]
)
def test_a_result_has_worked_unless_it_is_an_error(said: dict[str, Any], ok: bool) -> None:
    body = cli(FIRST, content("model", CALL), content("user", response("write_file", said, id="write_file_1_0")))
    asked = asked_of_gemini(PATH, body)
    assert asked.prompts == 0
    assert asked.results == (ToolResult("write_file_1_0", "write_file", ok),)


def test_results_without_ids_come_in_their_order() -> None:
    told = [response("glob", {"output": ""}), response("read_file", {"error": ""})]
    asked = asked_of_gemini(PATH, cli(FIRST, content("model", CALL), content("function", *told)))
    assert asked.results == (ToolResult("", "glob", True), ToolResult("", "read_file", False))


def test_one_content_needs_no_list() -> None:
    asked = asked_of_gemini("/v1/models/m:generateContent", {"contents": {"parts": {"text": "hello"}}})
    assert (asked.model, asked.prompts) == ("m", 1)


def test_an_image_alone_is_a_prompt_and_one_that_a_tool_read_is_not() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    read = content("user", response("read_file", {"output": "see below"}), image)
    assert asked_of_gemini(PATH, cli(content("user", image))).prompts == 1
    assert asked_of_gemini(PATH, cli(FIRST, content("model", CALL), read)).prompts == 0


def test_the_same_words_on_another_day_have_another_mark() -> None:
    tomorrow = content("user", {"text": CONTEXT.replace("Friday", "Saturday")}, {"text": "Please write a file."})
    assert asked_of_gemini(PATH, cli(FIRST)).prompt_mark != asked_of_gemini(PATH, cli(tomorrow)).prompt_mark
