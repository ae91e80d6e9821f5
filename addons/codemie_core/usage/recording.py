"""Makes the record of a turn out of all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from codemie_core.redact import redact_text
from codemie_core.usage.answer import Answer
from codemie_core.usage.asked import Asked
from codemie_core.usage.cost import Cost
from codemie_core.usage.record import AttemptRecord, Labels, Record, ToolDone, ToolUse
from codemie_core.usage.turn import Turn

if TYPE_CHECKING:
    from codemie_core.exchange import Attempt, Exchange

LONGEST_ERROR = 200

shown = lru_cache(maxsize=4096)(redact_text)
"""Clients and models write these names, and nobody knows what they put there; the same come turn after turn."""


def record_of(
    turn: Turn,
    answer: Answer,
    asked: Asked,
    *,
    provider: str,
    cost: Cost,
    labels: Labels,
    tools: Sequence[ToolUse] = (),
    done: Sequence[ToolDone] = (),
    prompts: int = 0,
) -> Record:
    """`prompts`, `tools` and `done` as the conversation's book has them."""
    exchange = turn.exchange
    terminal, error = ending_of(turn, answer)
    since = turn.began_ms
    return Record(
        id=turn.id,
        conversation_id=shown(exchange.conversation_id or ""),
        session_id=exchange.session_id,
        run_id=exchange.run_id,
        started_ms=round(exchange.started_at * 1000 + since),
        agent=exchange.agent.name,
        client_type=exchange.client_type or exchange.agent.client_type,
        api=turn.api,
        provider=provider,
        method=exchange.method,
        host=served_by(exchange),
        path=shown(exchange.path),
        model_asked=shown(asked.model),
        model_served=shown(answer.model),
        account=exchange.account,
        client_key=exchange.client_key,
        labels=labels,
        status=exchange.status,
        terminal=terminal,
        error=shown(error[:LONGEST_ERROR]),
        streamed=answer.events > 0,
        request_bytes=len(turn.request) if turn.number else exchange.request_bytes,
        response_bytes=0 if turn.number else exchange.response_bytes,
        head_ms=None if turn.number else exchange.head_ms,
        first_byte_ms=None if turn.number else exchange.first_byte_ms,
        first_token_ms=_since(answer.first_token_ms, since),
        last_token_ms=_since(answer.last_token_ms, since),
        total_ms=max(0.0, turn.ended_ms - since),
        usage=answer.usage,
        cost=cost,
        stop_reason=shown(answer.stop_reason),
        refusal=answer.refusal,
        complete=answer.complete,
        prompts=prompts,
        tools=tuple(tools),
        done=tuple(done),
        attempts=() if turn.number > 1 else tuple(attempt_record(attempt) for attempt in exchange.attempts),
    )


def ending_of(turn: Turn, answer: Answer) -> tuple[str, str]:
    """How the turn ended, and with which error."""
    exchange = turn.exchange
    if not turn.number:
        return str(exchange.terminal or "truncated"), exchange.error or answer.error
    if answer.error:
        return "upstream_error", answer.error
    if answer.complete:
        return "complete", ""
    # The socket may have closed in good order; the turn has not.
    left = exchange.terminal is not None and exchange.terminal != "complete"
    return (str(exchange.terminal), exchange.error or "") if left else ("truncated", "")


def served_by(exchange: Exchange) -> str:
    """The host that was asked last: an account may have its own."""
    return exchange.attempts[-1].host if exchange.attempts else exchange.host


def attempt_record(attempt: Attempt) -> AttemptRecord:
    """One attempt, in short."""
    return AttemptRecord(
        number=attempt.number,
        account=attempt.account,
        host=attempt.host,
        status=attempt.status,
        reason=str(attempt.failure.reason) if attempt.failure else "",
        head_ms=attempt.head_ms,
        ended_ms=attempt.ended_ms,
    )


def _since(at_ms: float | None, began_ms: float) -> float | None:
    return None if at_ms is None else max(0.0, at_ms - began_ms)
