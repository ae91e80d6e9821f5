"""Session metadata: CodeMie's format, our own mark, and nothing lost of what is there."""

import json

import pytest

from codemie_core.metrics.session import Session, as_text, new_session, no_sync, parse_session
from codemie_core.usage.record import NO_LABELS
from support.records import STARTED_MS, new_record

CODEMIES: dict[str, object] = {
    "sessionId": "5e551071-0000-4000-8000-00000000000c",
    "agentName": "claude",
    "provider": "ai-run-sso",
    "project": "proj",
    "startTime": 1755780000000,
    "endTime": 1755783600000,
    "workingDirectory": "/srv/acme/app",
    "gitBranch": "main",
    "repository": "acme/app",
    "correlation": {
        "status": "matched",
        "agentSessionId": "a9e27000",
        "agentSessionFile": "/srv/.claude/projects/x/a9e27000.jsonl",
        "detectedAt": 0,
        "retryCount": 0,
    },
    "status": "active",
    "reason": "prompt_input_exit",
    "origin": "codemie",
    "activityStartedAt": 1755780001000,
    "activeDurationMs": 120000,
    "sync": {
        "metrics": {**no_sync(), "processedRecordIds": ["msg_1"], "totalDeltas": 3, "totalSynced": 3},
        "conversations": {"conversationId": "..", "lastSyncedHistoryIndex": 4},
    },
}


def test_a_session_of_codemies_is_read_and_is_not_ours() -> None:
    session = parse_session(as_text(CODEMIES))
    assert session is not None
    assert (session.agent_name, session.repository, session.correlation.agent_session_id) == (
        "claude",
        "acme/app",
        "a9e27000",
    )
    assert session.may_sync
    assert not session.ours
    assert json.loads(session.text()) == CODEMIES, "with all that we do not know"


@pytest.mark.parametrize(
    "change", [{"origin": "external-resume"}, {"correlation": {"status": "failed"}}, {"correlation": {}}]
)
def test_an_unmatched_or_foreign_session_may_not_be_sent(change: dict[str, object]) -> None:
    session = parse_session(as_text({**CODEMIES, **change}))
    assert session is not None
    assert not session.may_sync


def test_a_session_without_an_origin_is_codemies_as_old_ones_are() -> None:
    session = parse_session(as_text({name: value for name, value in CODEMIES.items() if name != "origin"}))
    assert session is not None
    assert session.may_sync


def test_a_turn_opens_a_session_that_codemies_tools_understand() -> None:
    record = new_record(agent="claude")
    session = new_session(record, "ai-run-sso")
    assert session.ours
    assert session.may_sync
    assert json.loads(session.text()) == {
        "sessionId": record.session_id,
        "agentName": "claude",
        "provider": "ai-run-sso",
        "startTime": STARTED_MS,
        "workingDirectory": record.labels.working_directory,
        "project": "project",
        "gitBranch": "main",
        "repository": "owner/repository",
        "correlation": {
            "status": "matched",
            "agentSessionId": "conversation",
            "detectedAt": STARTED_MS,
            "retryCount": 0,
        },
        "status": "active",
        "origin": "codemie",
        "activeDurationMs": 0,
        "clientType": "codemie-claude",
        "createdBy": "codemie-proxy",
        "runId": "run",
        "sync": {"metrics": no_sync()},
    }
    assert parse_session(session.text()) == session
    assert session.text().startswith(b'{\n  "sessionId"')


def test_what_is_unknown_of_the_place_is_left_out() -> None:
    session = new_session(new_record(labels=NO_LABELS, conversation_id=""), "ai-run-sso")
    assert not {"project", "gitBranch", "repository"} & json.loads(session.text()).keys()
    assert session.working_directory == ""
    assert session.correlation.agent_session_id == session.session_id


@pytest.mark.parametrize("content", [b"", b'{"sessionId": "s", "agentNa', b"[]", b"{}", b"\xff"])
def test_half_a_file_is_no_session(content: bytes) -> None:
    assert parse_session(content) is None


def test_no_two_sessions_share_their_state() -> None:
    assert no_sync()["processedRecordIds"] is not no_sync()["processedRecordIds"]


def test_text_that_is_no_text_can_still_be_written() -> None:
    assert parse_session(Session(session_id="s", working_directory="/x\udcff").text()) is not None
