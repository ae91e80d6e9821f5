"""What happens to requests while it happens, as the live view is told. No prompt, no answer, no credential."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from codemie_core.usage.cost import NANO
from codemie_core.usage.recording import shown
from codemie_core.usage.usage import UNKNOWN, Usage

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange
    from codemie_core.usage.record import Record

type Kind = Literal["start", "first_token", "progress", "summary"]


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """One request as far as it has come. Times of the day are milliseconds since the epoch, durations milliseconds."""

    id: str
    """The request id; turns of one WebSocket append ".1", ".2", ..."""
    timestamp_ms: int
    """When it began."""
    method: str
    host: str
    path: str
    agent: str
    conversation: str
    """The agent's own id for it; "" for unknown."""
    session: str
    """CodeMie's uuid."""
    model: str
    """The model that served, until that is known the one asked for; "" for unknown."""
    account: str
    """The account's name; "" without a pool."""
    client_key: str
    status: int | None
    attempts: int
    elapsed_ms: float
    """Since it began; the whole time once it has ended."""
    first_byte_ms: float | None = None
    chunks: int = 0
    bytes: int = 0
    """What the client has got so far."""
    terminal: str = ""
    """How it ended; "" while it runs."""
    error: str = ""
    ok: bool = False
    """Did the client get a whole, good answer?"""
    counted: bool = False
    """A model turn has been counted: what follows is known as far as it ever will be."""
    usage: Usage = UNKNOWN
    cost_nano_usd: int | None = None
    tokens_per_second: float | None = None
    first_token_ms: float | None = None
    stop_reason: str = ""
    tools: int = 0
    """Tools that the model called."""
    project: str = ""
    branch: str = ""
    streamed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LiveEvent:
    """A request began, its first bytes went to the client, it goes on, it ended.

    A model turn gets two summaries: at its end, and once it has been counted (`request.counted`). Whoever listens puts
    each in the place of the row with the same id.
    """

    type: Kind
    request: LiveRequest

    def as_json(self) -> dict[str, Any]:
        """For programs: a summary has the members of a request in the list of requests."""
        told = self.request
        if self.type == "summary":
            return {"type": "summary", "payload": summary_json(told)}
        return {
            "type": self.type,
            "id": told.id,
            "timestamp": told.timestamp_ms,
            "method": told.method,
            "host": told.host,
            "path": told.path,
            "model": told.model or None,
            "accountUsed": told.account or None,
            "agentUsed": told.agent,
            "apiKeyName": told.client_key or None,
            "conversationId": told.conversation or None,
            "sessionId": told.session,
            "statusCode": told.status,
            "failoverAttempts": max(0, told.attempts - 1),
            "elapsedMs": round(told.elapsed_ms),
            "firstByteMs": _rounded(told.first_byte_ms),
            "chunks": told.chunks,
            "bytes": told.bytes,
        }


def running(kind: Kind, exchange: Exchange, model: str) -> LiveEvent:
    """An exchange that has not ended."""
    return LiveEvent(kind, _request(exchange, model))


def ended(exchange: Exchange, model: str) -> LiveEvent:
    """An exchange that has ended, before anybody has counted it."""
    return LiveEvent("summary", _request(exchange, model))


def recorded(record: Record) -> LiveEvent:
    """A model turn that has been counted."""
    told = LiveRequest(
        id=record.id,
        timestamp_ms=record.started_ms,
        method=record.method,
        host=record.host,
        path=record.path,
        agent=record.agent,
        conversation=record.conversation_id,
        session=record.session_id,
        model=record.model,
        account=record.account,
        client_key=record.client_key,
        status=record.status,
        attempts=len(record.attempts),
        elapsed_ms=record.total_ms,
        first_byte_ms=record.first_byte_ms,
        bytes=record.response_bytes,
        terminal=record.terminal,
        error=record.error,
        ok=record.ok,
        counted=True,
        usage=record.usage,
        cost_nano_usd=record.cost.nano_usd,
        tokens_per_second=record.tokens_per_second,
        first_token_ms=record.first_token_ms,
        stop_reason=record.stop_reason,
        tools=len(record.tools),
        project=record.labels.project,
        branch=record.labels.branch,
        streamed=record.streamed,
    )
    return LiveEvent("summary", told)


def summary_json(told: LiveRequest) -> dict[str, Any]:
    """A request as ccflare lists it; numbers that are unknown are left out."""
    usage = told.usage
    known = {
        "responseTimeMs": round(told.elapsed_ms),
        "model": told.model or None,
        "promptTokens": usage.prompt,
        "completionTokens": usage.output,
        "totalTokens": usage.total,
        "inputTokens": usage.input,
        "cacheReadInputTokens": usage.cache_read,
        "cacheCreationInputTokens": usage.cache_write,
        "outputTokens": usage.output,
        "costUsd": None if told.cost_nano_usd is None else told.cost_nano_usd / NANO,
        "tokensPerSecond": told.tokens_per_second,
        "firstByteMs": _rounded(told.first_byte_ms),
        "firstTokenMs": _rounded(told.first_token_ms),
        "stopReason": told.stop_reason or None,
        "project": told.project or None,
        "branch": told.branch or None,
        "apiKeyName": told.client_key or None,
        "conversationId": told.conversation or None,
    }
    return {
        "id": told.id,
        "timestamp": datetime.fromtimestamp(told.timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "method": told.method,
        "host": told.host,
        "path": told.path,
        "accountUsed": told.account or None,
        "statusCode": told.status,
        "success": told.ok,
        "errorMessage": told.error or None,
        "failoverAttempts": max(0, told.attempts - 1),
        "agentUsed": told.agent,
        "sessionId": told.session,
        "terminal": told.terminal,
        "streamed": told.streamed,
        "toolCalls": told.tools,
        "bytes": told.bytes,
        "counted": told.counted,
        **{name: value for name, value in known.items() if value is not None},
    }


def _request(exchange: Exchange, model: str) -> LiveRequest:
    status, terminal = exchange.status, exchange.terminal
    return LiveRequest(
        id=exchange.request_id,
        timestamp_ms=round(exchange.started_at * 1000),
        method=exchange.method,
        host=exchange.attempts[-1].host if exchange.attempts else exchange.host,
        path=shown(exchange.path),
        agent=exchange.agent.name,
        conversation=shown(exchange.conversation_id or ""),
        session=exchange.session_id,
        model=shown(model),
        account=exchange.account,
        client_key=exchange.client_key,
        status=status,
        attempts=len(exchange.attempts),
        elapsed_ms=(time.monotonic() - exchange.began) * 1000,
        first_byte_ms=exchange.first_byte_ms,
        chunks=exchange.chunks,
        bytes=exchange.response_bytes,
        terminal=str(terminal or ""),
        error=shown(exchange.error or ""),
        streamed=exchange.streamed,
        ok=terminal in ("complete", "answered_locally") and status is not None and status < 400,
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
