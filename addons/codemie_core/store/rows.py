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

type Row = tuple[Any, ...]
"""The values of a row, in the order of the table's columns."""


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
                (
                    request_id,
                    tried.number,
                    name_of(tried.account),
                    _text(tried.host),
                    _small(tried.status),
                    _text(tried.reason),
                    _ms(tried.head_ms),
                    _ms(tried.ended_ms),
                )
            )
        for n, use in enumerate(record.tools):
            self.tool_calls.append(
                (
                    request_id,
                    n,
                    name_of(use.call.id),
                    name_of(record.conversation_id),
                    name_of(use.call.name),
                    None,
                )
            )
            for part, operation in enumerate(use.files):
                self.file_operations.append(
                    (
                        request_id,
                        n,
                        part,
                        operation.type,
                        _text(operation.path),
                        name_of(operation.format),
                        name_of(operation.language),
                        _small(operation.lines_added),
                        _small(operation.lines_removed),
                    )
                )
        conversation = name_of(record.conversation_id)
        self.done.extend((conversation, told) for told in record.done if told.ok is not None)


def name_of(text: str) -> str:
    """A name or an id as its column has it."""
    return _text(text, LONGEST_NAME)


def _request(record: Record, request_id: str) -> Row:
    usage, cost, labels = record.usage, record.cost, record.labels
    return (
        request_id,
        name_of(record.conversation_id),
        name_of(record.session_id),
        record.run_id,
        record.started_ms,
        name_of(record.agent),
        name_of(record.client_type),
        record.api,
        record.provider,
        name_of(record.method),
        _text(record.host),
        # A key may be in the query.
        _text(record.path.partition("?")[0]),
        name_of(record.model_asked),
        name_of(record.model_served),
        name_of(record.model),
        name_of(record.account),
        name_of(record.client_key),
        name_of(labels.project),
        _text(labels.repository),
        _text(labels.branch),
        _small(record.status),
        record.terminal,
        _text(record.error),
        record.ok,
        record.streamed,
        record.complete,
        record.request_bytes,
        record.response_bytes,
        _ms(record.head_ms),
        _ms(record.first_byte_ms),
        _ms(record.first_token_ms),
        _ms(record.last_token_ms),
        _ms(record.total_ms) or 0.0,
        _ms(record.tokens_per_second),
        _count(usage.input),
        _count(usage.cache_read),
        _count(usage.cache_write),
        _count(usage.cache_write_1h),
        _count(usage.output),
        _count(usage.reasoning),
        _tools(usage.server_tools),
        name_of(usage.tier),
        _count(cost.nano_usd),
        _count(cost.input),
        _count(cost.cache_read),
        _count(cost.cache_write),
        _count(cost.output),
        _count(cost.tools),
        name_of(cost.version),
        name_of(record.stop_reason),
        record.refusal,
        record.prompts,
        len(record.attempts),
        len(record.tools),
    )


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
