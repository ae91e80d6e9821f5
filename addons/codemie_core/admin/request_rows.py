"""A model turn as the API writes it: in a list, and whole."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field

from codemie_core.admin.wire import Wire, iso, usd
from codemie_core.redact import redact_text
from codemie_core.store.requests import Row, Turn


class RequestSummary(Wire):
    """One model turn. What is not known is left out."""

    id: str
    timestamp: str
    method: str
    path: str
    account_used: str | None = Field(description="The account's name; without one the client's own credential served.")
    status_code: int | None
    success: bool
    error_message: str | None
    response_time_ms: float
    failover_attempts: int
    model: str | None
    prompt_tokens: int | None = Field(description="All that was read, from a cache too.")
    completion_tokens: int | None
    total_tokens: int | None
    input_tokens: int | None
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    agent_used: str | None
    tokens_per_second: float | None
    session_id: str
    conversation_id: str | None
    project: str | None
    branch: str | None
    api_key_name: str | None = Field(description="The client key it came with.")
    host: str
    terminal: str = Field(description="How it ended.")
    streamed: bool
    first_token_ms: float | None
    tool_calls: int
    stop_reason: str | None


class AttemptView(Wire):
    """One try at an upstream. Times are milliseconds since it began."""

    n: int
    account: str | None
    host: str
    status: int | None
    reason: str | None = Field(description="Why it did not count; none for the one that served.")
    detail: str | None = None
    head_ms: float | None
    ended_ms: float | None


class FileView(Wire):
    """What it did to a file."""

    type: str
    path: str
    language: str | None
    lines_added: int | None
    lines_removed: int | None


class ToolView(Wire):
    """A tool that the model called."""

    n: int
    name: str
    ok: bool | None = Field(description="None until a later turn told how it went.")
    files: list[FileView]


class CostParts(Wire):
    """US dollars."""

    input: float | None
    cache_read: float | None
    cache_write: float | None
    output: float | None
    tools: float | None
    price_version: str | None


class Timings(Wire):
    """Milliseconds since the turn began."""

    head: float | None
    first_byte: float | None
    first_token: float | None
    last_token: float | None
    total: float


class RequestDetail(RequestSummary):
    """All that is kept of one turn, but what was said."""

    api: str | None
    provider: str | None
    client_type: str | None
    model_asked: str | None
    model_served: str | None
    repository: str | None
    run_id: str
    request_bytes: int
    response_bytes: int
    complete: bool
    refusal: bool
    prompts: int
    reasoning_tokens: int | None
    cache_creation_hour_tokens: int | None
    tier: str | None
    server_tools: dict[str, int] | None
    cost: CostParts
    timings: Timings
    attempts: list[AttemptView]
    tools: list[ToolView]
    why: list[str] = Field(description="Why it went where it went, in sentences.")
    payload_kept: bool = Field(description="Can GET /api/requests/payload/{id} tell what was said?")


def summary(row: Row) -> RequestSummary:
    """In a list."""
    return RequestSummary(**_summary(row))


def attempt(row: Row) -> AttemptView:
    """One try."""
    return AttemptView(
        n=row["n"],
        account=row["account"] or None,
        host=row["host"],
        status=row["status"],
        reason=row["reason"] or None,
        head_ms=row["head_ms"],
        ended_ms=row["ended_ms"],
    )


def detail(turn: Turn, why: list[str], payload_kept: bool) -> RequestDetail:
    """Whole."""
    row = turn.row
    files: dict[int, list[FileView]] = {}
    for each in turn.file_operations:
        files.setdefault(each["n"], []).append(_file(each))
    return RequestDetail(
        **_summary(row),
        **{
            name: row[name] or None
            for name in ("api", "provider", "client_type", "model_asked", "model_served", "repository", "tier")
        },
        **{
            name: row[name]
            for name in (
                *("run_id", "request_bytes", "response_bytes", "complete", "refusal", "prompts", "reasoning_tokens"),
            )
        },
        cache_creation_hour_tokens=row["cache_write_1h_tokens"],
        server_tools=json.loads(row["server_tools"]) if row["server_tools"] else None,
        cost=_cost(row),
        timings=Timings(
            head=row["head_ms"],
            first_byte=row["first_byte_ms"],
            first_token=row["first_token_ms"],
            last_token=row["last_token_ms"],
            total=row["total_ms"],
        ),
        attempts=[attempt(each) for each in turn.attempts],
        tools=[
            ToolView(n=each["n"], name=each["name"], ok=each["ok"], files=files.get(each["n"], []))
            for each in turn.tool_calls
        ],
        why=why,
        payload_kept=payload_kept,
    )


def _summary(row: Row) -> Mapping[str, object]:
    prompt = _sum(row["input_tokens"], row["cache_read_tokens"], row["cache_write_tokens"])
    return {
        "id": row["id"],
        "timestamp": iso(row["started_ms"]),
        "method": row["method"],
        "path": row["path"],
        "account_used": row["account"] or None,
        "status_code": row["status"],
        "success": row["ok"],
        "error_message": redact_text(row["error"]) if row["error"] else None,
        "response_time_ms": row["total_ms"],
        "failover_attempts": max(0, row["attempts"] - 1),
        "model": row["model"] or None,
        "prompt_tokens": prompt,
        "completion_tokens": row["output_tokens"],
        "total_tokens": _sum(prompt, row["output_tokens"]),
        "input_tokens": row["input_tokens"],
        "cache_read_input_tokens": row["cache_read_tokens"],
        "cache_creation_input_tokens": row["cache_write_tokens"],
        "output_tokens": row["output_tokens"],
        "cost_usd": usd(row["cost_nano_usd"]),
        "agent_used": row["agent"] or None,
        "tokens_per_second": row["tokens_per_second"],
        "session_id": row["session_id"],
        "conversation_id": row["conversation_id"] or None,
        "project": row["project"] or None,
        "branch": row["branch"] or None,
        "api_key_name": row["client_key"] or None,
        "host": row["host"],
        "terminal": row["terminal"],
        "streamed": row["streamed"],
        "first_token_ms": row["first_token_ms"],
        "tool_calls": row["tool_calls"],
        "stop_reason": row["stop_reason"] or None,
    }


def _file(row: Row) -> FileView:
    return FileView(
        type=row["type"],
        path=row["path"],
        language=row["language"] or None,
        lines_added=row["lines_added"],
        lines_removed=row["lines_removed"],
    )


def _cost(row: Row) -> CostParts:
    parts = {name: usd(row[f"cost_{name}"]) for name in ("input", "cache_read", "cache_write", "output", "tools")}
    return CostParts(**parts, price_version=row["price_version"] or None)


def _sum(first: int | None, *more: int | None) -> int | None:
    return None if first is None else first + sum(count or 0 for count in more)
