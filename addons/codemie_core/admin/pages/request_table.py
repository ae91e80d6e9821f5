"""A request as a row: one that was kept, and one that is still under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codemie_core.admin.pages.format import ending, moment
from codemie_core.admin.pages.naming import agent_title
from codemie_core.admin.pages.widgets import Column, Row
from codemie_core.admin.wire import usd

if TYPE_CHECKING:
    from codemie_core.admin.live_events import LiveRequest
    from codemie_core.admin.request_rows import RequestSummary

COLUMNS = (
    Column("time", "Time", "time"),
    Column("agent", "Agent"),
    Column("model", "Model"),
    Column("account", "Account"),
    Column("state", "State", "badge"),
    Column("input", "In", "tokens", wide=True),
    Column("cached", "Cached", "percent", wide=True),
    Column("output", "Out", "tokens", wide=True),
    Column("tokens", "Tokens", "tokens"),
    Column("cost", "Cost", "money"),
    Column("first", "First token", "ms", wide=True),
    Column("took", "Took", "ms"),
    Column("speed", "Speed", "speed", wide=True),
)
LIST = tuple(column for column in COLUMNS if column.key != "tokens")
"""Of the page of requests."""


def row_of(found: RequestSummary) -> Row:
    """One of the history."""
    words, mood = ending(found.terminal, found.success, found.status_code)
    if found.failover_attempts:
        words = f"{words} · {found.failover_attempts + 1} tries"
    return {
        "id": found.id,
        "href": f"/requests/{found.id}",
        "time": moment(found.timestamp),
        "agent": agent_title(found.agent_used),
        "model": found.model,
        "account": found.account_used,
        "state": [words, mood],
        "input": found.prompt_tokens,
        "cached": _cached(found.cache_read_input_tokens, found.prompt_tokens),
        "output": found.output_tokens,
        "tokens": found.total_tokens,
        "cost": found.cost_usd,
        "first": found.first_token_ms,
        "took": found.response_time_ms,
        "speed": found.tokens_per_second,
        "css": "",
        "since": None,
    }


def row_of_live(told: LiveRequest) -> Row:
    """One as far as it has come."""
    usage = told.usage
    if told.terminal:
        words, mood = ending(told.terminal, told.ok, told.status)
    elif told.first_byte_ms is None:
        words, mood = "waiting", "live"
    else:
        words, mood = "streaming", "live"
    if told.attempts > 1:
        words = f"{words} · {told.attempts} tries"
    return {
        "id": told.id,
        "href": f"/requests/{told.id}",
        "time": told.timestamp_ms,
        "agent": agent_title(told.agent),
        "model": told.model,
        "account": told.account,
        "state": [words, mood],
        "input": usage.prompt,
        "cached": _cached(usage.cache_read, usage.prompt),
        "output": usage.output,
        "tokens": usage.total,
        "cost": usd(told.cost_nano_usd),
        "first": told.first_token_ms if told.first_token_ms is not None else told.first_byte_ms,
        "took": told.elapsed_ms,
        "speed": told.tokens_per_second,
        "css": "" if told.terminal else "open",
        "since": None if told.terminal else {"took": told.timestamp_ms},
    }


def _cached(read: int | None, prompt: int | None) -> float | None:
    return 100 * read / prompt if read is not None and prompt else None
