"""Requests of the Responses API and messages of its WebSocket, as Codex 0.169 and opencode send them."""

from typing import Any

import pytest

from codemie_core.usage.asked import ToolResult
from codemie_core.usage.asking_responses import asked_of_responses

PATH = "/v1/responses"
NOTES = "internal_chat_message_metadata_passthrough"
EXITED = "Chunk ID: 39d625\nWall time: 0.0000 seconds\nProcess exited with code {}\nOriginal token count: 0\nOutput:\n"


def message(role: str, text: str, kind: str = "", id_: str = "") -> dict[str, Any]:
    item: dict[str, Any] = {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
    if kind:
        item[NOTES] = {"turn_id": "t", "content_item_kinds": [kind]}
    return item | ({"id": id_} if id_ else {})


def environment(folder: str = "/srv/dev/project") -> dict[str, Any]:
    text = f"<environment_context>\n  <cwd>{folder}</cwd>\n  <shell>bash</shell>\n</environment_context>"
    return message("user", text, "environments.environment_context")


INSTRUCTIONS = message("developer", "You are a coding agent running in the Codex CLI.", "model.base_instructions")
PROMPT = message("user", "Please write a file.", "user.text", "msg_1")
CALL = {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "call_1"}
OUTPUT = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": EXITED.format(0)}


def body(*items: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"model": "gpt-5", "stream": True, "input": list(items), **more}


def test_the_first_request_of_codex_is_one_prompt_in_its_folder() -> None:
    asked = asked_of_responses(PATH, body(INSTRUCTIONS, environment(), PROMPT))
    assert (asked.model, asked.stream, asked.prompts, asked.results) == ("gpt-5", True, 1, ())
    assert asked.folder == "/srv/dev/project"


def test_what_codex_does_not_call_a_persons_is_no_prompt() -> None:
    summary = message("user", "These are the tools you may use.", "plugins.instructions")
    assert asked_of_responses(PATH, body(INSTRUCTIONS, environment(), summary)).prompts == 0


def test_without_codex_notes_the_words_tell() -> None:
    plain = [{key: value for key, value in item.items() if key != NOTES} for item in (environment(), PROMPT)]
    assert asked_of_responses(PATH, body(plain[0])).prompts == 0
    assert asked_of_responses(PATH, body(*plain)).prompts == 1


@pytest.mark.parametrize("items", [(INSTRUCTIONS, environment(), PROMPT, CALL, OUTPUT), (OUTPUT,)])
def test_results_come_with_the_whole_conversation_or_alone(items: tuple[dict[str, Any], ...]) -> None:
    asked = asked_of_responses(PATH, body(*items, previous_response_id="resp_1"))
    assert asked.prompts == 0
    assert asked.results == (ToolResult("call_1", "", True),)


@pytest.mark.parametrize("kind", ["function_call_output", "custom_tool_call_output", "local_shell_call_output"])
def test_every_kind_of_output_is_a_result_with_its_exit_code(kind: str) -> None:
    asked = asked_of_responses(PATH, body({**OUTPUT, "type": kind, "output": EXITED.format(1)}))
    assert asked.results == (ToolResult("call_1", "", False),)


def test_an_output_without_a_call_id_is_known_by_its_own() -> None:
    output = {"type": "local_shell_call_output", "id": "lsh_1", "output": "{}"}
    assert asked_of_responses(PATH, body(output)).results == (ToolResult("lsh_1", "", None),)


def test_a_message_of_the_websocket_is_read_like_a_body() -> None:
    asked = asked_of_responses(PATH, {"type": "response.create", "model": "gpt-5", "input": [PROMPT]})
    assert (asked.prompts, asked.stream) == (1, True)


@pytest.mark.parametrize("kind", ["", "compaction.summary"])
def test_prompts_before_a_summary_are_those_of_before(kind: str) -> None:
    summary = message("user", "Another language model started to solve this problem and produced a summary", kind)
    assert asked_of_responses(PATH, body(INSTRUCTIONS, environment(), PROMPT, summary)).prompts == 0
    again = message("user", "And now the tests.", "user.text", "msg_2")
    asked = asked_of_responses(PATH, body(INSTRUCTIONS, environment(), PROMPT, summary, again))
    alone = asked_of_responses(PATH, body(again))
    assert (asked.prompts, asked.prompt_mark) == (1, alone.prompt_mark)


def test_compacting_over_the_same_path_is_no_prompt() -> None:
    order = message("user", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary")
    asked = asked_of_responses(PATH, body(INSTRUCTIONS, PROMPT, CALL, OUTPUT, order))
    assert (asked.prompts, len(asked.results)) == (0, 1)


@pytest.mark.parametrize(
    "path, more", [(PATH, {"generate": False}), ("/v1/responses/compact", {}), ("/v1/responses/compact/?x=1", {})]
)
def test_warming_up_and_compacting_are_no_prompts(path: str, more: dict[str, object]) -> None:
    assert asked_of_responses(path, body(PROMPT, **more)).prompts == 0


def test_the_mark_of_a_prompt_stays_when_it_is_sent_another_way() -> None:
    by_websocket = asked_of_responses(PATH, body(environment(), PROMPT, previous_response_id="resp_warm"))
    by_post = asked_of_responses(PATH, body(INSTRUCTIONS, environment(), PROMPT))
    assert by_websocket.prompt_mark == by_post.prompt_mark


def test_the_same_words_after_another_response_have_another_mark() -> None:
    prompt = message("user", "go on")
    marks = {asked_of_responses(PATH, body(prompt, previous_response_id=before)).prompt_mark for before in ("r1", "r2")}
    assert len(marks) == 2


def test_a_text_as_input_is_a_prompt() -> None:
    assert asked_of_responses(PATH, {"model": "m", "input": "hello"}).prompts == 1


def test_an_image_alone_is_a_prompt() -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}
    assert asked_of_responses(PATH, body(image)).prompts == 1


def test_an_image_that_codex_does_not_call_a_persons_is_no_prompt() -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}
    shown = {**image, NOTES: {"content_item_kinds": ["tools.image"]}}
    given = {**image, NOTES: {"content_item_kinds": ["user.image"]}}
    assert [asked_of_responses(PATH, body(item)).prompts for item in (shown, given)] == [0, 1]


def test_a_title_of_opencode_is_no_prompt() -> None:
    title = {"role": "developer", "content": "You are a title generator. You output ONLY a thread title."}
    assert asked_of_responses(PATH, body(title, message("user", "Write a file"))).prompts == 0


def test_the_newest_environment_counts() -> None:
    moved = environment("/srv/dev/elsewhere")
    assert asked_of_responses(PATH, body(environment(), PROMPT, CALL, OUTPUT, moved)).folder == "/srv/dev/elsewhere"
