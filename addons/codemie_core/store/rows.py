"""A record as rows of the tables. Whatever a provider or an agent wrote, it becomes something both databases take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codemie_core.usage.record import Record, ToolDone

LONGEST = 4_000
"""Characters of a text that are kept."""
LONGEST_NAME = 200
"""Of what an index is on: PostgreSQL takes no row of an index beyond 2,700 bytes."""
MOST_TOOLS = 32
"""Kinds of server tools of one turn."""
_LARGEST = 2**63 - 1
_LARGEST_SMALL = 2**31 - 1

type Row = dict[str, Any]


@dataclass(slots=True)
class Rows:
    """Rows by table, of any number of records."""

    requests: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    tool_calls: list[Row] = field(default_factory=list)
    file_operations: list[Row] = field(default_factory=list)
    done: list[tuple[str, ToolDone]] = field(default_factory=list)
    """How earlier calls went, with the conversation that tells."""

    def add(self, record: Record) -> None:
        """One more."""
        request_id = name_of(record.id)
        self.requests.append(_request(record, request_id))
        for tried in record.attempts:
            self.attempts.append(
                {
                    "request_id": request_id,
                    "n": tried.number,
                    "account": name_of(tried.account),
                    "host": _text(tried.host),
                    "status": _small(tried.status),
                    "reason": _text(tried.reason),
                    "head_ms": _ms(tried.head_ms),
                    "ended_ms": _ms(tried.ended_ms),
                }
            )
        for n, use in enumerate(record.tools):
            self.tool_calls.append(
                {
                    "request_id": request_id,
                    "n": n,
                    "call_id": name_of(use.call.id),
                    "conversation_id": name_of(record.conversation_id),
                    "name": name_of(use.call.name),
                    "ok": None,
                }
            )
            for part, operation in enumerate(use.files):
                self.file_operations.append(
                    {
                        "request_id": request_id,
                        "n": n,
                        "part": part,
                        "type": operation.type,
                        "path": _text(operation.path),
                        "format": name_of(operation.format),
                        "language": name_of(operation.language),
                        "lines_added": _small(operation.lines_added),
                        "lines_removed": _small(operation.lines_removed),
                    }
                )
        conversation = name_of(record.conversation_id)
        self.done.extend((conversation, told) for told in record.done if told.ok is not None)


def name_of(text: str) -> str:
    """A name or an id as its column has it."""
    return _text(text, LONGEST_NAME)


def _request(record: Record, request_id: str) -> Row:
    usage, cost, labels = record.usage, record.cost, record.labels
    return {
        "id": request_id,
        "conversation_id": name_of(record.conversation_id),
        "session_id": name_of(record.session_id),
        "run_id": record.run_id,
        "started_ms": record.started_ms,
        "agent": name_of(record.agent),
        "client_type": name_of(record.client_type),
        "api": record.api,
        "provider": record.provider,
        "method": name_of(record.method),
        "host": _text(record.host),
        # A key may be in the query.
        "path": _text(record.path.partition("?")[0]),
        "model_asked": name_of(record.model_asked),
        "model_served": name_of(record.model_served),
        "model": name_of(record.model),
        "account": name_of(record.account),
        "client_key": name_of(record.client_key),
        "project": name_of(labels.project),
        "repository": _text(labels.repository),
        "branch": _text(labels.branch),
        "status": _small(record.status),
        "terminal": record.terminal,
        "error": _text(record.error),
        "ok": record.ok,
        "streamed": record.streamed,
        "complete": record.complete,
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
        "head_ms": _ms(record.head_ms),
        "first_byte_ms": _ms(record.first_byte_ms),
        "first_token_ms": _ms(record.first_token_ms),
        "last_token_ms": _ms(record.last_token_ms),
        "total_ms": _ms(record.total_ms) or 0.0,
        "tokens_per_second": _ms(record.tokens_per_second),
        "input_tokens": _count(usage.input),
        "cache_read_tokens": _count(usage.cache_read),
        "cache_write_tokens": _count(usage.cache_write),
        "cache_write_1h_tokens": _count(usage.cache_write_1h),
        "output_tokens": _count(usage.output),
        "reasoning_tokens": _count(usage.reasoning),
        "server_tools": _tools(usage.server_tools),
        "tier": name_of(usage.tier),
        "cost_nano_usd": _count(cost.nano_usd),
        "cost_input": _count(cost.input),
        "cost_cache_read": _count(cost.cache_read),
        "cost_cache_write": _count(cost.cache_write),
        "cost_output": _count(cost.output),
        "cost_tools": _count(cost.tools),
        "price_version": name_of(cost.version),
        "stop_reason": name_of(record.stop_reason),
        "refusal": record.refusal,
        "prompts": record.prompts,
        "attempts": len(record.attempts),
        "tool_calls": len(record.tools),
    }


def _text(text: str, longest: int = LONGEST) -> str:
    """No NUL, no half characters, not without end."""
    if len(text) <= longest and text.isascii() and "\0" not in text:
        return text
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode()


def _tools(calls: Mapping[str, int]) -> str | None:
    told = {name_of(name): number for name, number in list(calls.items())[:MOST_TOOLS] if _count(number) is not None}
    return json.dumps(told) if told else None


def _count(number: int | None) -> int | None:
    """No provider's nonsense may keep a batch from being stored: what no column holds is unknown."""
    return number if number is not None and -_LARGEST <= number <= _LARGEST else None


def _small(number: int | None) -> int | None:
    return number if number is not None and -_LARGEST_SMALL <= number <= _LARGEST_SMALL else None


def _ms(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
