"""One line of a session's metrics file, in the format that CodeMie's own tools write and read.

Written by several generations of them: what a field may lack, or hold beside what we know, is kept as it was found.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

PENDING = "pending"
FAILED = "failed"
SYNCED = "synced"
MAX_SYNC_ATTEMPTS = 3
"""After so many failures CodeMie's tools leave a record alone."""
# The end of the year 9999, beyond which no calendar of ours goes.
_LAST_MS = 253_402_300_799_999


class MetricsModel(BaseModel):
    """camelCase on disk. Fields we do not know stay, and are written again as they were."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True, allow_inf_nan=False
    )

    def on_disk(self) -> dict[str, object]:
        """What was set, under the names used on disk."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Tokens(MetricsModel):
    """Tokens of one turn; `input` is without those read from a cache or written to one."""

    input: int = 0
    output: int = 0
    cache_creation: int | None = None
    cache_read: int | None = None


class ToolStatus(MetricsModel):
    """How the calls of one tool went."""

    success: int = 0
    failure: int = 0


class FileChange(MetricsModel):
    """One file operation of a successful tool call: read, write, edit, delete, glob or grep."""

    type: str
    path: str | None = None
    format: str | None = None
    language: str | None = None
    pattern: str | None = None
    lines_added: int | None = None
    lines_removed: int | None = None


class UserPrompt(MetricsModel):
    """A prompt. CodeMie's hooks also store its text; we never do."""

    count: int = 1


class Delta(MetricsModel):
    """What one step of a session adds to its sums. The same `record_id` twice is the same step."""

    record_id: str
    session_id: str = ""
    agent_session_id: str | None = None
    timestamp: int | float | str = 0
    """Milliseconds since the epoch or ISO 8601, as it was found."""
    git_branch: str | None = None
    tokens: Tokens | None = None
    ai_requests: int | None = None
    """Ours: model turns asked for and answered. CodeMie's hooks do not say."""
    ai_responses: int | None = None
    tools: dict[str, int] | None = None
    """Calls, whether or not a result ever comes."""
    tool_status: dict[str, ToolStatus] | None = None
    """Results."""
    skill_invocations: dict[str, int] | None = None
    agent_invocations: dict[str, int] | None = None
    command_invocations: dict[str, int] | None = None
    file_operations: tuple[FileChange, ...] | None = None
    models: tuple[str, ...] | None = None
    api_error_message: str | None = None
    user_prompts: tuple[UserPrompt, ...] | None = None
    sync_status: str = ""
    """pending, syncing, synced or failed. A record on disk without it is never sent, as CodeMie's tools have it."""
    sync_attempts: int = 0

    @property
    def timestamp_ms(self) -> int | None:
        """Milliseconds since the epoch; None when it cannot be read."""
        return moment_ms(self.timestamp)

    @property
    def wants_sync(self) -> bool:
        """CodeMie's rule: pending, or failed and not given up."""
        return self.sync_status == PENDING or (self.sync_status == FAILED and self.sync_attempts < MAX_SYNC_ATTEMPTS)

    @property
    def failures(self) -> bool:
        """Does it tell of a tool call that failed?"""
        return any(status.failure > 0 for status in (self.tool_status or {}).values())

    def line(self) -> bytes:
        """One line of JSON, ASCII only, with its end. A new record is pending; the mark can be changed in place."""
        marked = {**self.on_disk(), "syncStatus": self.sync_status or PENDING, "syncAttempts": self.sync_attempts}
        return json.dumps(marked, separators=(",", ":")).encode() + b"\n"


def moment_ms(found: int | float | str) -> int | None:
    """Milliseconds since the epoch of a time as it stands on disk; None for what is none."""
    try:
        if isinstance(found, str):
            moment = datetime.fromisoformat(found)
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
        rounded = round(found)
    except (ValueError, OverflowError):
        return None
    return rounded if 0 <= rounded <= _LAST_MS else None


def parse_delta(line: bytes) -> Delta | None:
    """The record on a line; None when it is damaged: no JSON, or not such a record."""
    try:
        return Delta.model_validate(json.loads(line))
    except (ValueError, RecursionError):
        # pydantic's errors and those of json and of decoding are all ValueErrors.
        return None
