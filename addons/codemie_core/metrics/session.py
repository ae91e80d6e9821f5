"""A session's metadata file, {sessionId}.json, as CodeMie's own tools write and read it."""

from __future__ import annotations

import json

from pydantic import Field

from codemie_core.metrics.delta import MetricsModel
from codemie_core.usage.record import Record

OURS = "codemie-proxy"
"""What `createdBy` says in a file of ours.

CodeMie's tools keep fields they do not know when they change a file. When they make it anew, the session is theirs, and
the mark is gone as it should be.
"""
ACTIVE = "active"
ORIGIN = "codemie"
"""Made through CodeMie's tooling. Others ("external-resume") are never to be sent."""


class Correlation(MetricsModel):
    """Which session of the agent this is; only a matched one may be sent."""

    status: str = "pending"
    agent_session_id: str | None = None


class Session(MetricsModel):
    """Times are milliseconds since the epoch."""

    session_id: str
    agent_name: str = "unknown"
    provider: str = ""
    project: str | None = None
    start_time: int | float = 0
    end_time: int | float | None = None
    working_directory: str = ""
    git_branch: str | None = None
    repository: str | None = None
    correlation: Correlation = Field(default_factory=Correlation)
    status: str = ACTIVE
    """active, completed, recovered or failed."""
    reason: str | None = None
    origin: str = ORIGIN
    model: str | None = None
    client_type: str = ""
    """Ours: CodeMie's name for the client. Its own tools know it from elsewhere."""
    created_by: str = ""
    run_id: str = ""
    """Ours: the proxy process that last opened it."""

    @property
    def ours(self) -> bool:
        """Did a proxy of ours make the file?"""
        return self.created_by == OURS

    @property
    def may_sync(self) -> bool:
        """CodeMie's conditions: matched, and made through CodeMie's tooling."""
        return self.correlation.status == "matched" and self.origin == ORIGIN

    def text(self) -> bytes:
        """The file's content, indented as CodeMie's tools do."""
        return as_text(self.on_disk())


def new_session(record: Record, provider: str) -> Session:
    """The session that this turn opens; `provider` is the profile's, ai-run-sso say."""
    labels = record.labels
    known = {"project": labels.project, "gitBranch": labels.branch, "repository": labels.repository}
    return Session.model_validate(
        {
            "sessionId": record.session_id,
            "agentName": record.agent,
            "provider": provider,
            "startTime": record.started_ms,
            "workingDirectory": labels.working_directory,
            **{name: value for name, value in known.items() if value},
            "correlation": {
                "status": "matched",
                "agentSessionId": record.conversation_id or record.session_id,
                "detectedAt": record.started_ms,
                "retryCount": 0,
            },
            "status": ACTIVE,
            "origin": ORIGIN,
            "activeDurationMs": 0,
            "clientType": record.client_type,
            "createdBy": OURS,
            "runId": record.run_id,
            "sync": {"metrics": no_sync()},
        }
    )


def no_sync() -> dict[str, object]:
    """The state CodeMie's tools expect of a session of which nothing has been sent."""
    return {
        "lastProcessedTimestamp": 0,
        "processedRecordIds": [],
        "totalDeltas": 0,
        "totalSynced": 0,
        "totalFailed": 0,
    }


def as_text(values: dict[str, object]) -> bytes:
    """JSON as CodeMie's tools lay it out."""
    return json.dumps(values, indent=2, ensure_ascii=False).encode("utf-8", "replace")


def parse_session(data: bytes) -> Session | None:
    """None when it is no such file, or half of one."""
    try:
        return Session.model_validate(json.loads(data))
    except (ValueError, RecursionError):
        return None
