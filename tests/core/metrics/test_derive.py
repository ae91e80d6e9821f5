"""What a turn adds to its session's sums: each thing once, told by the turn that knows it, and no words."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.metrics.aggregate import aggregate
from codemie_core.metrics.delta import Delta, Tokens
from codemie_core.metrics.derive import deltas_of
from codemie_core.metrics.session import Session
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import NO_LABELS, Record, ToolDone, ToolUse
from codemie_core.usage.usage import UNKNOWN, Usage
from support.records import STARTED_MS, new_record, told, tool_use

PLANTED_KEY = "sk-ant-api03-planted-" + "Zz9" * 25
EDIT = FileOperation("edit", "/p/a.ts", "ts", "typescript", 5, 3)


def only(record: Record) -> Delta:
    (delta,) = deltas_of(record)
    return delta


def call(name: str, arguments: object = "{}", **changes: Any) -> ToolUse:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolUse(ToolCall("c", name, text, 0, **changes))


def test_a_turn_becomes_a_record_in_codemies_format() -> None:
    record = new_record(id="turn", tools=(tool_use("c1", "Edit"), tool_use("c2", "Bash"), tool_use("c3", "Edit")))
    written = json.loads(only(record).line())
    assert written.pop("recordId") == only(dataclasses.replace(record, prompts=0)).record_id
    assert written == {
        "sessionId": record.session_id,
        "agentSessionId": "conversation",
        "timestamp": STARTED_MS + 2500,
        "gitBranch": "main",
        "tokens": {"input": 12, "output": 300, "cacheCreation": 500, "cacheRead": 30_000},
        "aiRequests": 1,
        "aiResponses": 1,
        "tools": {"Edit": 2, "Bash": 1},
        "models": ["claude-sonnet-4-5-20250929"],
        "userPrompts": [{"count": 1}],
        "syncStatus": "pending",
        "syncAttempts": 0,
    }


def test_results_are_told_by_the_turn_that_brings_them_and_files_only_of_successes() -> None:
    done = (
        ToolDone("c1", "Edit", True, "turn-1", (EDIT,)),
        ToolDone("c2", "Edit", False, "turn-1", (EDIT,)),
        ToolDone("c3", "shell", None, "turn-1"),
    )
    good, bad, silent, turn = deltas_of(new_record(done=done))
    assert json.loads(good.line())["toolStatus"] == {"Edit": {"success": 1, "failure": 0}}
    assert json.loads(good.line())["fileOperations"] == [
        {
            "type": "edit",
            "path": "/p/a.ts",
            "format": "ts",
            "language": "typescript",
            "linesAdded": 5,
            "linesRemoved": 3,
        }
    ]
    assert (bad.failures, bad.file_operations, bad.api_error_message) == (True, None, "Tool failed: Edit")
    assert silent.tool_status is not None
    assert silent.tool_status["shell"].success == 1, "a result that does not say that it failed is a success"
    assert {delta.timestamp for delta in (good, bad, silent)} == {STARTED_MS}
    assert (turn.tool_status, turn.file_operations) == (None, None)
    assert [delta.tools for delta in (good, bad, silent)] == [None] * 3, "the call was counted when it was made"


def test_the_same_turn_and_the_same_result_have_the_same_id_always_and_others_have_others() -> None:
    record = new_record(id="turn", done=(told("c1", record_id="t"), told("c2", record_id="t")))
    again = dataclasses.replace(record, usage=UNKNOWN, started_ms=1)
    assert [delta.record_id for delta in deltas_of(record)] == [delta.record_id for delta in deltas_of(again)]
    sent_again = dataclasses.replace(record, id="turn-retried")
    first, retried = deltas_of(record), deltas_of(sent_again)
    assert [delta.record_id for delta in first[:2]] == [delta.record_id for delta in retried[:2]]
    others = [
        deltas_of(dataclasses.replace(record, conversation_id="another")),
        deltas_of(new_record(id="turn-2", done=(told("c1", record_id="t2"),))),
        deltas_of(new_record(id="turn-3", done=(told("", name="a"), told("", name="b")))),
        deltas_of(new_record(id="turn-4", done=(told("", name="a"), told("", name="b")))),
    ]
    results = [delta.record_id for deltas in (first, *others) for delta in deltas[:-1]]
    assert len(set(results)) == len(results)


def test_the_ids_of_today_are_the_ids_of_tomorrow() -> None:
    result, turn = deltas_of(new_record(id="turn", done=(told("c1", record_id="t"),)))
    assert (result.record_id, turn.record_id) == (
        "9a978251-b8a7-501a-8848-03bf74d40edf",
        "6b5615e6-28e3-5fc5-a529-1eaecbc6b519",
    )


@pytest.mark.parametrize(
    "usage,tokens",
    [
        (UNKNOWN, None),
        (Usage(output=7), Tokens(input=0, output=7)),
        (Usage(input=7), Tokens(input=7, output=0)),
        (Usage(input=0, output=0, cache_read=0), Tokens(input=0, output=0, cache_read=0)),
    ],
)
def test_unknown_tokens_are_left_out(usage: Usage, tokens: Tokens | None) -> None:
    assert only(new_record(usage=usage)).tokens == tokens


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"terminal": "upstream_error", "status": 529, "error": "overloaded_error"}, "API Error: 529 overloaded_error"),
        ({"terminal": "complete", "status": 429}, "API Error: 429"),
        ({"terminal": "truncated", "status": 200}, "API Error: truncated"),
        ({"terminal": "upstream_error", "status": None, "error": "connect\n timeout"}, "API Error: connect timeout"),
    ],
)
def test_a_failed_turn_says_why_in_one_line(changes: dict[str, Any], message: str) -> None:
    delta = only(new_record(**{"usage": UNKNOWN, **changes}))
    assert delta.api_error_message == message
    assert (delta.ai_requests, delta.ai_responses, delta.models) == (1, 0, None)
    assert delta.user_prompts is not None, "the book counts a prompt with the first turn that brings it"


def test_no_secret_gets_into_the_reason_of_a_failure() -> None:
    delta = only(new_record(terminal="upstream_error", status=401, error=f"bad key {PLANTED_KEY} {'x' * 900}"))
    assert delta.api_error_message is not None
    assert PLANTED_KEY not in delta.api_error_message
    assert len(delta.api_error_message) <= 500


def test_a_turn_that_the_person_stopped_is_no_error() -> None:
    delta = only(new_record(terminal="client_cancelled", complete=False))
    assert (delta.api_error_message, delta.ai_requests, delta.ai_responses) == (None, 1, 1)
    early = only(new_record(terminal="client_cancelled", complete=False, usage=UNKNOWN, model_served=""))
    assert (early.ai_requests, early.ai_responses, early.models) == (1, 0, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"api": ""},
        {"api": "codemie", "done": (told("c"),)},
        {"terminal": "answered_locally", "prompts": 0},
        {"terminal": "refused", "prompts": 0},
    ],
)
def test_what_no_model_was_asked_for_is_not_counted(changes: dict[str, Any]) -> None:
    assert deltas_of(new_record(**changes)) == ()


def test_a_refused_turn_still_tells_its_prompt_and_the_results_it_brought() -> None:
    result, turn = deltas_of(new_record(terminal="refused", status=429, usage=UNKNOWN, done=(told("c"),)))
    assert result.tool_status is not None
    assert (turn.ai_requests, turn.user_prompts is not None, turn.api_error_message) == (0, True, None)


def test_a_call_whose_arguments_never_came_whole_was_not_made() -> None:
    cut = call("Edit", '{"file_pa', cut=True)
    assert only(new_record(terminal="truncated", complete=False, tools=(cut, call("Read")))).tools == {"Read": 1}
    assert only(new_record(tools=(cut,))).tools == {"Edit": 1}, "only too long to keep"


def test_agents_skills_and_commands_that_tools_start_are_counted() -> None:
    tools = (
        call("Task", {"subagent_type": "Explore", "prompt": "secret plan"}),
        call("Agent", {"subagent_type": "Explore"}),
        call("task", {"subagent_type": "general"}),
        call("Skill", {"skill": "codemie:msgraph", "args": "x"}),
        call("skill", {"name": "pdf"}),
        call("SlashCommand", {"command": "/tech-lead please do it"}),
        call("Task", "{damaged"),
        call("Skill", {"skill": 5}),
        call("Task", "[]"),
    )
    delta = only(new_record(tools=tools))
    assert delta.agent_invocations == {"Explore": 2, "general": 1}
    assert delta.skill_invocations == {"codemie:msgraph": 1, "pdf": 1}
    assert delta.command_invocations == {"tech-lead": 1}
    assert b"secret plan" not in delta.line()
    assert b"please" not in delta.line()


def test_what_is_unknown_of_the_session_is_left_out() -> None:
    delta = only(new_record(labels=NO_LABELS, conversation_id=""))
    assert "gitBranch" not in json.loads(delta.line())
    assert delta.agent_session_id == delta.session_id


CALLS = st.lists(st.tuples(st.sampled_from(["Edit", "Bash", "Read"]), st.sampled_from([True, False, None, "never"])))


@given(turns=st.lists(CALLS, max_size=6), repeated=st.booleans())
def test_sums_over_a_conversation_are_exact(turns: list[list[tuple[str, bool | str | None]]], repeated: bool) -> None:
    deltas: list[Delta] = []
    coming: tuple[ToolDone, ...] = ()
    for number, calls in enumerate([*turns, []]):
        tools = tuple(tool_use(f"{number}-{index}", name, EDIT) for index, (name, _) in enumerate(calls))
        record = new_record(id=f"turn-{number}", tools=tools, done=coming, prompts=number % 2)
        deltas += deltas_of(record) * (1 + repeated)
        coming = tuple(
            ToolDone(use.call.id, name, None if ok is None else ok is True, record.id, use.files)
            for use, (name, ok) in zip(tools, calls, strict=True)
            if ok != "never"
        )
    made = [each for calls in turns for each in calls]
    (metric,) = aggregate(deltas, Session(session_id="s"), schema="v1", agent_version="1")
    succeeded = sum(ok is True or ok is None for _, ok in made)
    expected = {
        "total_tool_calls": len(made),
        "successful_tool_calls": succeeded,
        "failed_tool_calls": sum(ok is False for _, ok in made),
        "files_modified": succeeded,
        "lines_added": 5 * succeeded,
        "total_lines_removed": 3 * succeeded,
        "total_ai_requests": len(turns) + 1,
        "total_output_tokens": 300 * (len(turns) + 1),
        "total_user_prompts": (len(turns) + 1) // 2,
    }
    assert {name: metric.attributes[name] for name in expected} == expected
