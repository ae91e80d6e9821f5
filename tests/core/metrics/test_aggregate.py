"""The metric as CodeMie's API gets it: the documented documents, to the letter."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.metrics.aggregate import Schema, aggregate
from codemie_core.metrics.delta import Delta, parse_delta
from codemie_core.metrics.session import Session, as_text, parse_session
from support.hooks import hook_line

# The documented example of today's schema; this session, these deltas, that document.
SESSION: dict[str, object] = {
    "sessionId": "codemie-session",
    "agentName": "claude",
    "provider": "ai-run-sso",
    "project": "proj",
    "startTime": 1787306400000,
    "workingDirectory": "/srv/acme/app",
    "repository": "acme/app",
    "correlation": {"status": "matched", "agentSessionId": "agent-session"},
    "status": "active",
    "origin": "codemie",
}
V2 = {
    "name": "codemie_cli_tool_usage_total",
    "attributes": {
        "agent": "claude",
        "agent_version": "0.14.1",
        "codemie_client": "codemie-claude",
        "llm_model": "claude-sonnet-4-6",
        "repository": "acme/app",
        "session_id": "agent-session",
        "branch": "main",
        "project": "proj",
        "total_user_prompts": 2,
        "tool_names": ["Bash", "Edit", "Edit"],
        "total_tool_calls": 3,
        "successful_tool_calls": 2,
        "failed_tool_calls": 1,
        "files_created": 0,
        "files_modified": 2,
        "files_deleted": 0,
        "total_lines_added": 9,
        "total_lines_removed": 4,
        "session_duration_ms": 60000,
        "had_errors": True,
        "schema_version": 2,
        "count": 1,
        "error_messages": ["Excluded tool failed: Bash"],
        "api_errors": ["API Error: 529"],
    },
}
V1 = {
    "name": "codemie_coding_agent_usage",
    "attributes": {
        "agent": "claude",
        "agent_version": "0.14.1",
        "llm_model": "claude-sonnet-4-6",
        "project": "proj",
        "session_id": "codemie-session",
        "git_branch": "main",
        "time": "2026-08-21T10:01:00.000Z",
        "total_user_prompts": 2,
        "total_ai_requests": 3,
        "total_ai_responses": 2,
        "total_input_tokens": 30,
        "total_output_tokens": 12,
        "total_cache_read_input_tokens": 7,
        "total_cache_creation_tokens": 5,
        "total_tool_calls": 3,
        "successful_tool_calls": 2,
        "failed_tool_calls": 1,
        "files_created": 0,
        "files_modified": 2,
        "files_deleted": 0,
        "total_lines_added": 9,
        "total_lines_removed": 4,
        "lines_added": 9,
        "lines_removed": 4,
        "session_duration_ms": 60000,
        "exit_reason": "",
        "had_errors": True,
        "status": "active",
        "is_final": False,
        "count": 1,
    },
}
# Every attribute that the description of v1 promises.
PROMISED = {
    *("agent", "agent_version", "llm_model", "project", "session_id"),
    *("total_user_prompts", "total_ai_requests", "total_ai_responses"),
    *("total_input_tokens", "total_output_tokens", "total_cache_read_input_tokens"),
    *("total_tool_calls", "successful_tool_calls", "failed_tool_calls"),
    *("files_created", "files_modified", "files_deleted", "lines_added", "lines_removed"),
    *("session_duration_ms", "exit_reason", "had_errors", "status", "is_final", "count"),
}


def session(**changes: object) -> Session:
    parsed = parse_session(as_text({**SESSION, **changes}))
    assert parsed is not None
    return parsed


def hook(record_id: str, **fields: object) -> Delta:
    delta = parse_delta(hook_line(record_id, **fields))
    assert delta is not None
    return delta


def edit(added: int, removed: int) -> dict[str, object]:
    return {"type": "edit", "path": "/p/a.ts", "linesAdded": added, "linesRemoved": removed}


def documented(branch: str = "main", **of_all: object) -> list[Delta]:
    tokens = {"input": 15, "output": 6, "cacheCreation": 5}
    return [
        # Turn one: both tools of the example; the failed one is a shell.
        hook("r1", gitBranch=branch, fileOperations=[edit(5, 3)], tokens=tokens, **of_all),
        hook(
            "r2",
            gitBranch=branch,
            timestamp="2026-08-21T10:01:00.000Z",
            tools={"Edit": 1},
            toolStatus={"Edit": {"success": 1, "failure": 0}},
            fileOperations=[edit(4, 1)],
            tokens={"input": 15, "output": 6, "cacheRead": 7},
            apiErrorMessage=None,
            **of_all,
        ),
        hook(
            "r3",
            gitBranch=branch,
            timestamp=1_787_306_430_000,
            tools={},
            toolStatus=None,
            fileOperations=[],
            models=[],
            userPrompts=None,
            apiErrorMessage="\x1b[31mAPI Error: 529\x1b[0m",
            **of_all,
        ),
    ]


def sent(deltas: list[Delta], schema: Schema, of: Session | None = None, **named: Any) -> list[dict[str, Any]]:
    named = {"agent_version": "0.14.1", "client_type": "codemie-claude", **named}
    return [json.loads(metric.body()) for metric in aggregate(deltas, of or session(), schema=schema, **named)]


@pytest.mark.parametrize("schema,document", [("v1", V1), ("v2", V2)])
def test_the_documented_metric_comes_out_of_the_documented_records(schema: Schema, document: object) -> None:
    assert sent(documented(), schema) == [document]


def test_a_failed_edit_is_told_by_name_and_message_as_documented() -> None:
    failed = hook("r4", tools={}, toolStatus={"Edit": {"success": 0, "failure": 1}}, apiErrorMessage="...")
    unfailed = hook("r5", apiErrorMessage=None, toolStatus={"Edit": {"success": 1, "failure": 0}})
    attributes = sent([failed, unfailed, hook("r6", toolStatus=None, apiErrorMessage="API Error: ...")], "v2")[0][
        "attributes"
    ]
    assert {name: attributes.get(name) for name in ("had_errors", "error_tools", "error_messages", "api_errors")} == {
        "had_errors": True,
        "error_tools": ["Edit"],
        "error_messages": ["..."],
        "api_errors": ["API Error: ..."],
    }


def test_v1_has_every_attribute_its_description_lists_also_when_there_is_nothing_to_tell() -> None:
    (metric,) = sent([Delta(record_id="r")], "v1")
    assert metric["attributes"].keys() >= PROMISED


def test_each_branch_gets_a_metric_of_its_own_with_its_own_records() -> None:
    deltas = [
        *documented("main"),
        hook("f1", gitBranch="feature"),
        hook("n1", gitBranch=None),
        hook("f2", gitBranch=""),
    ]
    metrics = aggregate(deltas, session(), schema="v2", agent_version="1")
    assert [(metric.branch, metric.record_ids) for metric in metrics] == [
        ("main", ("r1", "r2", "r3")),
        ("feature", ("f1",)),
        ("", ("n1", "f2")),
    ]
    metrics = aggregate(deltas, session(gitBranch="main"), schema="v2", agent_version="1")
    assert [(metric.branch, len(metric.record_ids)) for metric in metrics] == [("main", 5), ("feature", 1)]
    assert [metric.attributes["branch"] for metric in metrics] == ["main", "feature"]


@pytest.mark.parametrize("schema", ["v1", "v2"])
def test_a_record_that_comes_twice_counts_once(schema: Schema) -> None:
    assert sent(documented() + documented(), schema) == sent(documented(), schema)
    assert len(sent([hook("a"), hook("a", gitBranch="other")], schema)) == 1


def test_the_session_names_its_own_client_and_the_caller_that_of_a_session_of_the_cli() -> None:
    assert sent(documented(), "v2", session(clientType="codemie-codex"))[0]["attributes"]["codemie_client"] == (
        "codemie-codex"
    )


@pytest.mark.parametrize(
    "changes,expected",
    [
        ({"correlation": {"status": "matched"}}, {"session_id": "a9e27000-0000-4000-8000-000000000001"}),
        ({"repository": None}, {"repository": "acme/app"}),
        ({"repository": "/srv/very/secret/acme/app"}, {"repository": "acme/app"}),
        ({"repository": None, "workingDirectory": ""}, {"repository": "unknown"}),
    ],
)
def test_where_the_work_is_done_is_told_as_far_as_it_is_known(
    changes: dict[str, object], expected: dict[str, object]
) -> None:
    attributes = sent(documented(), "v2", session(**changes))[0]["attributes"]
    assert {name: attributes[name] for name in expected} == expected


def test_a_project_nobody_named_is_left_out_of_v2_and_the_folder_in_v1() -> None:
    unnamed = session(project=None)
    assert "project" not in sent(documented(), "v2", unnamed)[0]["attributes"]
    assert sent(documented(), "v1", unnamed)[0]["attributes"]["project"] == "acme/app"


def test_the_model_comes_from_the_session_where_no_record_names_one() -> None:
    assert sent([Delta(record_id="r")], "v2", session(model="m"))[0]["attributes"]["llm_model"] == "m"
    assert sent([Delta(record_id="r")], "v2")[0]["attributes"]["llm_model"] == "unknown"


@pytest.mark.parametrize(
    "changes,final,expected",
    [
        ({}, False, ("active", "", False)),
        ({}, True, ("active", "", True)),
        ({"status": "completed", "reason": "exit"}, False, ("completed", "exit", True)),
        ({"status": "recovered", "reason": "died"}, False, ("recovered", "died", True)),
    ],
)
def test_v1_says_whether_anything_will_follow(
    changes: dict[str, object], final: bool, expected: tuple[str, str, bool]
) -> None:
    attributes = sent(documented(), "v1", session(**changes), final=final)[0]["attributes"]
    assert (attributes["status"], attributes["exit_reason"], attributes["is_final"]) == expected


def test_errors_of_which_nothing_may_be_told_are_none_in_v2() -> None:
    nameless = hook("r", toolStatus={"a b": {"success": 0, "failure": 1}})
    assert sent([nameless], "v2")[0]["attributes"]["had_errors"] is False


FINITE = st.floats(allow_nan=False, allow_infinity=False)
DELTAS = st.builds(
    Delta,
    record_id=st.text(max_size=3),
    timestamp=st.one_of(st.integers(), FINITE, st.text(max_size=30)),
    git_branch=st.one_of(st.none(), st.text(max_size=2)),
    tools=st.dictionaries(st.text(max_size=9), st.integers(0, 50), max_size=4),
    models=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    api_error_message=st.one_of(st.none(), st.text(max_size=20)),
)


@given(deltas=st.lists(DELTAS, max_size=8), schema=st.sampled_from(["v1", "v2"]), start=FINITE)
def test_whatever_the_records_hold_the_metric_is_flat_complete_and_always_the_same_bytes(
    deltas: list[Delta], schema: Schema, start: float
) -> None:
    of = Session(session_id="s", start_time=start)
    metrics = aggregate(deltas, of, schema=schema, agent_version="1")
    assert [metric.body() for metric in metrics] == [
        metric.body() for metric in aggregate(deltas, of, schema=schema, agent_version="1")
    ]
    told = [record_id for metric in metrics for record_id in metric.record_ids]
    assert sorted(told) == sorted({delta.record_id for delta in deltas})
    for metric in metrics:
        document = json.loads(metric.body())
        assert document.keys() == {"name", "attributes"}
        for value in document["attributes"].values():
            items = value if isinstance(value, list) else [value]
            assert all(isinstance(item, str | int | float | bool) for item in items), "no maps, no gaps"
