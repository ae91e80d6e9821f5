"""Requests of the Messages API, as Claude Code 2.1, opencode and the SDK send them."""

from typing import Any

import pytest

from codemie_core.usage.asked import ToolResult
from codemie_core.usage.asking_anthropic import asked_of_anthropic

PATH = "/v1/messages?beta=true"
REMINDER = (
    "<system-reminder>\nAs you answer the user's questions, you can use the following context: ...\n</system-reminder>"
)
BILLING = "x-anthropic-billing-header: cc_version=2.1.197.578; cc_entrypoint=sdk-cli;"
ENVIRONMENT = (
    "# Environment\nYou are here:\n - Primary working directory: /srv/dev/project\n - Is a git repository: true"
)
GIT = "gitStatus: This is the git status at the start.\nCurrent branch: feature/x\n\nMain branch: main"
USED = {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def result(id_: str, **more: object) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": "done", **more}


def claude_code(*messages: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {
        "model": "claude-opus-4-8",
        "messages": list(messages),
        "system": [text(BILLING), text("You are a Claude agent."), text(ENVIRONMENT), text(GIT)],
        "tools": [{"name": "Write"}],
        "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'},
        "max_tokens": 64000,
        "stream": True,
        **changes,
    }


def user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


FIRST = user(text(REMINDER), text("Please write a file."))
LATE_SYSTEM = {"role": "system", "content": "Available agent types for the Agent tool: ..."}
ANSWERED = {"role": "assistant", "content": [text("I will."), USED]}


def test_the_first_request_of_claude_code_is_one_prompt() -> None:
    asked = asked_of_anthropic(PATH, claude_code(FIRST, LATE_SYSTEM))
    assert (asked.model, asked.stream, asked.prompts, asked.results) == ("claude-opus-4-8", True, 1, ())


def test_a_request_that_brings_results_is_no_prompt() -> None:
    asked = asked_of_anthropic(PATH, claude_code(FIRST, LATE_SYSTEM, ANSWERED, user(result("toolu_1"))))
    assert asked.prompts == 0
    assert asked.results == (ToolResult("toolu_1", "", True),)


@pytest.mark.parametrize(
    "more, ok", [({}, True), ({"is_error": False}, True), ({"is_error": True}, False), ({"is_error": None}, True)]
)
def test_a_result_has_worked_unless_it_is_called_an_error(more: dict[str, object], ok: bool) -> None:
    asked = asked_of_anthropic(PATH, claude_code(FIRST, ANSWERED, user(result("toolu_1", **more))))
    assert asked.results == (ToolResult("toolu_1", "", ok),)


def test_only_results_after_the_last_answer_are_told() -> None:
    again = {"role": "assistant", "content": [{**USED, "id": "toolu_2"}]}
    asked = asked_of_anthropic(
        PATH, claude_code(FIRST, ANSWERED, user(result("toolu_1")), again, user(result("toolu_2")))
    )
    assert [each.id for each in asked.results] == ["toolu_2"]


def test_reminders_beside_results_are_no_prompt_and_words_are() -> None:
    reminded = claude_code(FIRST, ANSWERED, user(result("toolu_1"), text(REMINDER)))
    asked = claude_code(FIRST, ANSWERED, user(result("toolu_1"), text(REMINDER), text("no, the other file")))
    assert asked_of_anthropic(PATH, reminded).prompts == 0
    assert asked_of_anthropic(PATH, asked).prompts == 1


def test_the_next_prompt_in_the_same_words_has_another_mark() -> None:
    first = asked_of_anthropic(PATH, claude_code(user(text("go on"))))
    second = asked_of_anthropic(PATH, claude_code(user(text("go on")), ANSWERED, user(text("go on"))))
    assert first.prompt_mark != second.prompt_mark


def test_a_reminder_that_changes_does_not_change_the_mark() -> None:
    once = asked_of_anthropic(PATH, claude_code(user(text(REMINDER), text("go on"))))
    again = asked_of_anthropic(PATH, claude_code(user(text(REMINDER.replace("...", "newer")), text("go on"))))
    assert once.prompt_mark == again.prompt_mark


@pytest.mark.parametrize("kind", ["image", "document"])
def test_an_image_alone_is_a_prompt_and_beside_results_it_is_not(kind: str) -> None:
    seen = {"type": kind, "source": {"type": "base64", "data": "AAAA"}}
    assert asked_of_anthropic(PATH, claude_code(user(seen))).prompts == 1
    assert asked_of_anthropic(PATH, claude_code(FIRST, ANSWERED, user(result("toolu_1"), seen))).prompts == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"max_tokens": 1}, id="quota check"),
        pytest.param({"tools": []}, id="title"),
        pytest.param({"tools": None}, id="summary"),
        pytest.param({"system": [text(f"{BILLING} cc_is_subagent=true;")]}, id="subagent"),
        pytest.param({"system": "You are a title generator. You output ONLY a thread title."}, id="opencode's title"),
    ],
)
def test_what_the_agent_asks_for_itself_is_no_prompt(changes: dict[str, object]) -> None:
    assert asked_of_anthropic(PATH, claude_code(FIRST, **changes)).prompts == 0


def test_compacting_is_no_prompt_whatever_was_said_before_it() -> None:
    order = text("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is to summarize.")
    assert asked_of_anthropic(PATH, claude_code(FIRST, ANSWERED, user(text("go on"), order))).prompts == 0
    assert asked_of_anthropic(PATH, claude_code(FIRST, ANSWERED, user(text("go on")))).prompts == 1


def test_a_subagent_still_brings_its_results() -> None:
    body = claude_code(FIRST, ANSWERED, user(result("toolu_1")), system=[text(f"{BILLING} cc_is_subagent=true;")])
    assert [each.id for each in asked_of_anthropic(PATH, body).results] == ["toolu_1"]


def test_a_plain_client_needs_no_tools_for_a_prompt() -> None:
    asked = asked_of_anthropic("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert (asked.prompts, asked.stream) == (1, False)


def test_a_prefilled_answer_does_not_hide_the_prompt() -> None:
    body = claude_code(FIRST, {"role": "assistant", "content": "{"})
    assert asked_of_anthropic(PATH, body).prompts == 1


def test_folder_and_branch_are_what_claude_code_says() -> None:
    asked = asked_of_anthropic(PATH, claude_code(FIRST))
    assert (asked.folder, asked.branch) == ("/srv/dev/project", "feature/x")


def test_a_path_of_a_cloud_names_model_and_stream() -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-6@20260205:streamRawPredict"
    asked = asked_of_anthropic(path, {"messages": []})
    assert (asked.model, asked.stream) == ("claude-opus-4-6@20260205", True)
