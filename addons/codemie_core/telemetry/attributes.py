"""A record in OpenTelemetry's words. Ids, names and numbers; no prompt, no answer, no path."""

from __future__ import annotations

from codemie_core.telemetry import names
from codemie_core.usage.cost import NANO
from codemie_core.usage.record import Record

LONGEST = 256

type Value = str | bool | int | float | tuple[str, ...]


def span_name(record: Record) -> str:
    """The operation and the model."""
    return f"{names.operation_of(record.api)} {_clean(record.model_asked or record.model_served)}".rstrip()


def error_of(record: Record) -> str:
    """A short word for what went wrong; "" when nothing did."""
    if record.ok and not record.error:
        return ""
    if record.status is not None and record.status >= 400:
        return str(record.status)
    return record.terminal if record.terminal != "complete" else "stream_error"


def span_attributes(record: Record) -> dict[str, Value]:
    """Of the span of one turn; what is not known is left out."""
    usage, cost = record.usage, record.cost.nano_usd
    found: dict[str, Value | None] = {
        **metric_attributes(record),
        names.REQUEST_STREAM: record.streamed,
        names.FINISH_REASONS: (record.stop_reason,) if record.stop_reason else None,
        names.FIRST_CHUNK: None if record.first_token_ms is None else record.first_token_ms / 1000,
        names.CONVERSATION: record.conversation_id,
        names.INPUT_TOKENS: usage.prompt,
        names.CACHE_READ_TOKENS: usage.cache_read,
        names.CACHE_WRITE_TOKENS: usage.cache_write,
        names.OUTPUT_TOKENS: usage.output,
        names.REASONING_TOKENS: usage.reasoning,
        names.STATUS: record.status,
        names.REQUEST_ID: record.id,
        names.SESSION: record.session_id,
        names.CLIENT_KEY: record.client_key,
        names.PROJECT: record.labels.project,
        names.ATTEMPTS: len(record.attempts),
        names.TERMINAL: record.terminal,
        names.COST: None if cost is None else cost / NANO,
        names.PRICES: record.cost.version,
        names.TOOL_CALLS: len(record.tools),
    }
    return {name: _clean(value) for name, value in found.items() if value is not None and value != ""}


def metric_attributes(record: Record) -> dict[str, Value]:
    """Of what is counted: the few that have few values."""
    found = {
        names.OPERATION: names.operation_of(record.api),
        names.PROVIDER: names.provider_name(record.provider),
        names.REQUEST_MODEL: record.model_asked,
        names.RESPONSE_MODEL: record.model_served,
        names.SERVER: record.host,
        names.AGENT: record.agent,
        names.ACCOUNT: record.account,
        names.ERROR: error_of(record),
    }
    return {name: _clean(value) for name, value in found.items() if value}


def _clean(value: Value) -> Value:
    """Half a surrogate pair, which JSON may hold, would spoil the whole batch."""
    if isinstance(value, tuple):
        return tuple(str(_clean(each)) for each in value)
    return value[:LONGEST].encode("utf-8", "replace").decode() if isinstance(value, str) else value
