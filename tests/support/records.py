"""Records of model turns for tests: whole ones, cut ones, with tools and files."""

from __future__ import annotations

import uuid
from typing import Any

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.cost import Cost
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import AttemptRecord, Labels, Record, ToolDone, ToolUse
from codemie_core.usage.usage import Usage

STARTED_MS = 1_800_000_000_000


def new_record(**changes: Any) -> Record:
    """A good, streamed turn of Claude Code; `changes` are fields of Record."""
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "conversation_id": "conversation",
        "session_id": "5e551071-0000-4000-8000-000000000001",
        "run_id": "run",
        "started_ms": STARTED_MS,
        "agent": "claude",
        "client_type": "codemie-claude",
        "api": "anthropic",
        "provider": "anthropic",
        "method": "POST",
        "host": "api.anthropic.com:443",
        "path": "/v1/messages",
        "model_asked": "claude-sonnet-4-5",
        "model_served": "claude-sonnet-4-5-20250929",
        "account": "main",
        "client_key": "",
        "labels": Labels("project", "owner/repository", "main", "/srv/project"),
        "status": 200,
        "terminal": "complete",
        "error": "",
        "streamed": True,
        "request_bytes": 20_000,
        "response_bytes": 5_000,
        "head_ms": 250.5,
        "first_byte_ms": 260.25,
        "first_token_ms": 400.0,
        "last_token_ms": 2400.0,
        "total_ms": 2500.0,
        "usage": Usage(input=12, cache_read=30_000, cache_write=500, cache_write_1h=100, output=300, reasoning=None),
        "cost": Cost(15_411_000, "genai-prices 0.2.3", 36_000, 9_000_000, 1_875_000, 4_500_000, None),
        "stop_reason": "tool_use",
        "refusal": False,
        "complete": True,
        "prompts": 1,
        "attempts": (AttemptRecord(1, "main", "api.anthropic.com:443", 200, "", 250.5, 2500.0),),
    }
    return Record(**{**fields, **changes})


def tool_use(call_id: str, name: str = "Write", *files: FileOperation, index: int = 0) -> ToolUse:
    """A call; one that writes a Python file unless told otherwise."""
    wrote = FileOperation("write", "src/new.py", "py", "Python", 10, 0)
    return ToolUse(ToolCall(call_id, name, '{"file_path": "src/new.py"}', index), files or (wrote,))


def told(call_id: str, ok: bool | None = True, record_id: str = "", name: str = "Write") -> ToolDone:
    """How a call went."""
    return ToolDone(call_id, name, ok, record_id)
