"""A record as rows of the tables. Whatever a provider or an agent wrote, it becomes something both databases take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codemie_core.usage.record import Record, ToolDone

LONGEST = 4_000
"""Characters of a text that are kept."""
LONGEST_NAME = 200
"""Of what an index is on: PostgreSQL takes no row of an index beyond 2,700 bytes."""
MOST_TOOLS = 32
"""Kinds of server tools of one turn."""
_LARGEST = 10**15
"""More is nonsense, and a few thousand of them can still be added up."""
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
    (
        conversation,
        session,
        agent,
        client_type,
        method,
        asked,
        served,
        account,
        client_key,
        project,
        tier,
        version,
        stop,
    ) = _names(
        record.conversation_id,
        record.session_id,
        record.agent,
        record.client_type,
        record.method,
        record.model_asked,
        record.model_served,
        record.account,
        record.client_key,
        labels.project,
        usage.tier,
        cost.version,
        record.stop_reason,
    )
    return (
        request_id,
        conversation,
        session,
        record.run_id,
        record.started_ms,
        agent,
        client_type,
        record.api,
        record.provider,
        method,
        _text(record.host),
        # A key may be in the query.
        _text(record.path.partition("?")[0]),
        asked,
        served,
        served or asked,
        account,
        client_key,
        project,
        _text(labels.repository),
        name_of(labels.branch),
        _small(record.status),
        record.terminal,
        _text(record.error),
        record.ok,
        record.streamed,
        record.complete,
        record.request_bytes,
        record.response_bytes,
        *_times(
            record.head_ms,
            record.first_byte_ms,
            record.first_token_ms,
            record.last_token_ms,
            record.total_ms,
            record.tokens_per_second,
        ),
        *_counts(usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning),
        _tools(usage.server_tools) if usage.server_tools else None,
        tier,
        *_counts(cost.nano_usd, cost.input, cost.cache_read, cost.cache_write, cost.output, cost.tools),
        version,
        stop,
        record.refusal,
        record.prompts,
        len(record.attempts),
        len(record.tools),
    )


# Nearly always all of a row is as it should be: that is found out at once, and not for each of its values.


def _names(*texts: str) -> Sequence[str]:
    together = "".join(texts)
    if together.isascii() and "\0" not in together and max(map(len, texts)) <= LONGEST_NAME:
        return texts
    return [name_of(text) for text in texts]


def _counts(*numbers: int | None) -> Sequence[int | None]:
    """No provider's nonsense may keep a batch from being stored: what no column holds is unknown."""
    known = [number for number in numbers if number]
    if not known or (max(known) <= _LARGEST and min(known) >= -_LARGEST):
        return numbers
    return [number if number is not None and -_LARGEST <= number <= _LARGEST else None for number in numbers]


def _times(*numbers: float | None) -> Sequence[float | None]:
    if math.isfinite(sum(filter(None, numbers))):
        return numbers
    *others, total, rate = [_ms(number) for number in numbers]
    return *others, total or 0.0, rate


def _text(text: str, longest: int = LONGEST) -> str:
    """No NUL, no half characters, not without end."""
    if len(text) <= longest and text.isascii() and "\0" not in text:
        return text
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode()


def _tools(calls: Mapping[str, int]) -> str | None:
    counts = _counts(*list(calls.values())[:MOST_TOOLS])
    told = {name_of(name): number for name, number in zip(calls, counts, strict=False) if number is not None}
    return json.dumps(told) if told else None


def _small(number: int | None) -> int | None:
    return number if number is not None and -_LARGEST_SMALL <= number <= _LARGEST_SMALL else None


def _ms(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
