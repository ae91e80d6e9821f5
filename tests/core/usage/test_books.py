"""Whole conversations, request by request, as each agent holds them: what of them ends up in the records."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from codemie_core import agents
from codemie_core.agents import Agent
from codemie_core.exchange import Exchange
from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.books import Books
from codemie_core.usage.cost import Cost
from codemie_core.usage.folders import Folders
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import Labels, Record
from codemie_core.usage.usage import Usage
from codemie_core.workspace import Workspace
from support.turns import exchange_like, turn_like

PATHS = {
    "anthropic": "/v1/messages?beta=true",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
}


class Prices:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, datetime]] = []

    def price(self, provider: str, model: str, usage: Usage, at: datetime) -> Cost:
        self.asked.append((provider, model, at))
        return Cost(7, "test")


def find(folder: Path, environ: Mapping[str, str]) -> Workspace:
    return Workspace(f"git/{folder.name}", "today")


class Desk:
    """Books of one process, and the agents that keep them busy."""

    def __init__(self) -> None:
        self.prices = Prices()
        self.books = Books(self.prices, lambda: Folders({}, find))
        self.number = 0

    def turn(self, agent: Agent, api: str, body: object, *tools: ToolCall, **exchange: Any) -> Record:
        """One request and its answer."""
        self.number += 1
        answer = Answer(model="m", tools=tools, usage=Usage(input=1, output=2), complete=True)
        values = {"agent": agent, "path": PATHS[api], "request_id": f"request-{self.number}", **exchange}
        return self.books.record(turn_like(self._exchange(values), answer, api=api, request=json.dumps(body).encode()))

    def _exchange(self, values: dict[str, Any]) -> Exchange:
        return exchange_like(**{"conversation_id": "conversation-1", **values})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def call(id_: str, name: str, arguments: object) -> ToolCall:
    return ToolCall(id_, name, arguments if isinstance(arguments, str) else json.dumps(arguments), 0)


def claude_body(*messages: dict[str, Any], folder: str = "/nowhere/acme/app") -> dict[str, Any]:
    system = f"# Environment\n - Primary working directory: {folder}\n\nCurrent branch: started\n"
    metadata = {"user_id": '{"session_id":"s"}'}
    return {"model": "m", "system": system, "tools": [{}], "metadata": metadata, "messages": [*messages]}


def says(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def claude_result(id_: str, **more: object) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, **more}]}


WROTE = FileOperation("write", "/p/a.py", "py", "python", 2, None)
WRITE = call("toolu_1", "Write", {"file_path": "/p/a.py", "content": "a\nb"})
ANSWERED = {"role": "assistant", "content": []}
FIRST = claude_body(says("write it"))
SECOND = claude_body(says("write it"), ANSWERED, claude_result("toolu_1"))


def test_a_call_of_claude_code_is_told_done_by_the_next_request(desk: Desk) -> None:
    first = desk.turn(agents.CLAUDE, "anthropic", FIRST, WRITE)
    second = desk.turn(agents.CLAUDE, "anthropic", SECOND)
    assert (first.prompts, second.prompts) == (1, 0)
    assert [use.files for use in first.tools] == [(WROTE,)]
    (done,) = second.done
    assert (done.name, done.ok, done.record_id, done.files) == ("Write", True, first.id, (WROTE,))


def test_a_request_that_is_sent_again_counts_nothing_twice(desk: Desk) -> None:
    for body, prompts, done in ((FIRST, 1, 0), (SECOND, 0, 1)):
        tools = (WRITE,) if body is FIRST else ()
        records = [desk.turn(agents.CLAUDE, "anthropic", body, *tools) for _ in range(3)]
        assert sum(record.prompts for record in records) == prompts
        assert sum(len(record.done) for record in records) == done


def test_a_failed_call_is_told_as_failed(desk: Desk) -> None:
    desk.turn(agents.CLAUDE, "anthropic", FIRST, WRITE)
    failed = claude_body(says("write it"), ANSWERED, claude_result("toolu_1", is_error=True))
    assert [done.ok for done in desk.turn(agents.CLAUDE, "anthropic", failed).done] == [False]


def test_what_a_subagent_is_told_is_no_prompt(desk: Desk) -> None:
    send = call("toolu_1", "Agent", {"subagent_type": "Explore", "prompt": "Find the tests."})
    assert desk.turn(agents.CLAUDE, "anthropic", FIRST, send).prompts == 1
    assert desk.turn(agents.CLAUDE, "anthropic", claude_body(says("Find the tests."))).prompts == 0
    assert desk.turn(agents.OPENCODE, "anthropic", {"messages": [says("Find the tests.")]}).prompts == 0
    assert desk.turn(agents.CLAUDE, "anthropic", claude_body(says("Find the bugs."))).prompts == 1


def codex_body(*items: dict[str, Any], before: str = "") -> dict[str, Any]:
    return {"type": "response.create", "model": "m", "input": [*items], "previous_response_id": before}


def test_codex_over_its_websocket_keeps_its_folder_and_its_results(desk: Desk) -> None:
    environment = says("<environment_context>\n  <cwd>/nowhere/acme/app</cwd>\n</environment_context>")
    patch = "*** Begin Patch\n*** Delete File: a.rs\n*** End Patch"
    output = {
        "type": "custom_tool_call_output",
        "call_id": "call_1",
        "output": "Exit code: 1\nWall time: 1 seconds\nOutput:\n",
    }
    first = desk.turn(
        agents.CODEX, "openai-responses", codex_body(environment, says("go")), call("call_1", "apply_patch", patch)
    )
    second = desk.turn(agents.CODEX, "openai-responses", codex_body(output, before="resp_1"))
    third = desk.turn(agents.CODEX, "openai-responses", codex_body(says("go"), before="resp_2"))
    assert [record.prompts for record in (first, second, third)] == [1, 0, 1]
    assert {record.labels.repository for record in (first, second, third)} == {"acme/app"}
    (done,) = second.done
    assert (done.ok, done.record_id, [file.type for file in done.files]) == (False, first.id, ["delete"])


def test_gemini_cli_pairs_by_name_and_its_router_is_no_prompt(desk: Desk) -> None:
    context = {"text": "<session_context>\nThis is the Gemini CLI. Today.\n</session_context>"}
    asked = {"role": "user", "parts": [context, {"text": "write it"}]}
    response = {"name": "write_file", "id": "write_file_1_0", "response": {"output": "done"}}
    said = {"role": "model", "parts": [{"functionCall": {"name": "write_file"}}]}
    told = {"role": "user", "parts": [{"functionResponse": response}]}
    routed = desk.turn(agents.GEMINI, "gemini", {"contents": [asked]}, conversation_id=None)
    arguments = {"file_path": "/p/a.py", "content": "a\nb"}
    first = desk.turn(
        agents.GEMINI,
        "gemini",
        {"contents": [asked], "tools": [{}]},
        call("", "write_file", arguments),
        conversation_id=None,
    )
    second = desk.turn(agents.GEMINI, "gemini", {"contents": [asked, said, told], "tools": [{}]}, conversation_id=None)
    assert [record.prompts for record in (routed, first, second)] == [0, 1, 0]
    (done,) = second.done
    assert (done.call_id, done.record_id, done.files) == ("write_file_1_0", first.id, (WROTE,))


def test_opencode_over_chat_tells_no_success(desk: Desk) -> None:
    system = {"role": "system", "content": "You are OpenCode.\n<env>\n  Working directory: /nowhere/acme/app\n</env>"}
    body: dict[str, Any] = {"model": "m", "messages": [system, says("read it")]}
    first = desk.turn(agents.OPENCODE, "openai-chat", body, call("call_1", "read", {"filePath": "a.go"}))
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "..."}
    body["messages"] += [ANSWERED, answer]
    second = desk.turn(agents.OPENCODE, "openai-chat", body)
    assert [(done.ok, done.record_id) for done in second.done] == [(None, first.id)]
    assert (first.prompts, second.prompts) == (1, 0)


def test_clients_without_conversations_do_not_share_folders_or_prompts(desk: Desk) -> None:
    chat = {"model": "m", "messages": [says("hello")]}
    records = [desk.turn(agents.OPENAI_SDK, "openai-chat", chat, conversation_id=None) for _ in range(3)]
    assert [record.prompts for record in records] == [1, 1, 1]
    desk.turn(agents.CLAUDE, "anthropic", FIRST, conversation_id=None)
    other = desk.turn(agents.CLAUDE, "anthropic", {"messages": [says("hi")]}, conversation_id=None)
    assert other.labels.working_directory == ""


def test_the_folder_an_agent_names_counts_more_than_the_proxys_own(desk: Desk, tmp_path: Path) -> None:
    own = Labels("proj", "acme/own", "main", "/srv/own")

    def labels(folder: str) -> Labels:
        body = claude_body(says(f"in {folder}"), folder=folder)
        return desk.turn(agents.CLAUDE, "anthropic", body, labels=own).labels

    here = str(tmp_path)
    assert labels("/nowhere/acme/app") == Labels("proj", "acme/app", "started", "/nowhere/acme/app")
    assert labels(here) == Labels("proj", f"git/{tmp_path.name}", "today", here)


def test_the_price_is_asked_for_the_model_that_served_at_the_time_of_the_turn(desk: Desk) -> None:
    record = desk.turn(agents.CLAUDE, "anthropic", FIRST, started_at=1_700_000_000.0)
    assert desk.prices.asked == [("anthropic", "m", datetime.fromtimestamp(1_700_000_000, UTC))]
    assert record.cost == Cost(7, "test")


@pytest.mark.parametrize("request_body", [b"", b"{", b"[]", b"\xff"])
def test_a_request_that_cannot_be_read_is_still_a_record(desk: Desk, request_body: bytes) -> None:
    record = desk.books.record(turn_like(answer=Answer(model="m", complete=True), request=request_body))
    assert (record.model, record.prompts, record.done) == ("m", 0, ())
