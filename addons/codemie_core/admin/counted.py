"""Figures of turns as the API writes them: rates from 0 to 100, sums of what is known."""

from __future__ import annotations

from pydantic import Field

from codemie_core.admin.wire import Wire, iso, percent, usd
from codemie_core.store.breakdown import Slice
from codemie_core.store.figures import Figures


class Counted(Wire):
    """What was counted of some turns."""

    requests: int
    success_rate: float = Field(description="0 to 100.")
    error_rate: float = Field(description="0 to 100.")
    failovers: int = Field(description="Turns that took more than one attempt.")
    sessions: int
    prompts: int
    tool_calls: int
    input_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_hit_rate: float = Field(description="0 to 100.")
    cost_usd: float = Field(description="Of the turns whose price is known.")
    unpriced: int = Field(description="Turns whose cost is not known.")
    avg_response_time: float = Field(description="Milliseconds.")
    avg_tokens_per_second: float | None = Field(description="Of all output together.")
    first_used: str | None
    last_used: str | None


class Named(Counted):
    """The same of one model, account, agent, ...; "" are turns without one."""

    name: str


def counted(found: Slice) -> Counted:
    """For the API."""
    return Counted(**_values(found))


def named(name: str, found: Slice) -> Named:
    """For the API."""
    return Named(name=name, **_values(found))


def success_rate(figures: Figures) -> float:
    """0 to 100."""
    return percent(figures.requests - figures.errors, figures.requests)


def all_tokens(figures: Figures) -> int:
    """Read and written, as far as they are known."""
    read = (figures.input_tokens, figures.cache_read_tokens, figures.cache_write_tokens)
    return sum(count or 0 for count in (*read, figures.output_tokens))


def _values(found: Slice) -> dict[str, object]:
    figures = found.figures
    return {
        "requests": figures.requests,
        "success_rate": success_rate(figures),
        "error_rate": percent(figures.errors, figures.requests),
        "failovers": figures.failovers,
        "sessions": figures.sessions,
        "prompts": figures.prompts,
        "tool_calls": figures.tool_calls,
        "input_tokens": figures.input_tokens or 0,
        "cache_read_input_tokens": figures.cache_read_tokens or 0,
        "cache_creation_input_tokens": figures.cache_write_tokens or 0,
        "output_tokens": figures.output_tokens or 0,
        "total_tokens": all_tokens(figures),
        "cache_hit_rate": percent(figures.cache_hit_rate),
        "cost_usd": usd(figures.cost_nano_usd) or 0.0,
        "unpriced": figures.unpriced,
        "avg_response_time": found.average_ms or 0.0,
        "avg_tokens_per_second": figures.tokens_per_second,
        "first_used": iso(figures.first_ms),
        "last_used": iso(figures.last_ms),
    }
