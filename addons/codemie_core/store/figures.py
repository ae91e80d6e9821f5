"""What is counted of a set of model turns, and how SQL counts it. None is unknown, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Label, and_, case, func, or_

from codemie_core.store import tables


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums are of what is known; None when nothing of it is. Money is in nano-USD, times are ms since the epoch."""

    requests: int = 0
    errors: int = 0
    """Turns that did not end with a whole, good answer."""
    failovers: int = 0
    """Turns that took more than one attempt."""
    prompts: int = 0
    tool_calls: int = 0
    sessions: int = 0
    input_tokens: int | None = None
    """Read anew: neither from a cache nor written to one."""
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    uncounted: int = 0
    """Turns whose tokens are not known, and which the sums therefore lack. Refused ones (status >= 400) have none."""
    cost_nano_usd: int | None = None
    unpriced: int = 0
    """Turns whose cost is not known. Refused ones cost nothing and are not among them."""
    cache_hit_rate: float | None = None
    """What came from a cache, of all that was read, where the provider tells the two apart; 0 to 1."""
    tokens_per_second: float | None = None
    """Output by the time between first and last token: of all turns together, so that short ones do not weigh more."""
    first_ms: int | None = None
    last_ms: int | None = None
    """When the newest turn began."""
    ended_ms: int | None = None
    """When the last one ended."""

    @property
    def error_rate(self) -> float | None:
        """0 to 1."""
        return self.errors / self.requests if self.requests else None

    @property
    def prompt_tokens(self) -> int | None:
        """All that was read."""
        if self.input_tokens is None:
            return None
        return self.input_tokens + (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0)


_of = tables.requests.c


def measures() -> list[Label[Any]]:
    """To be selected, alone or in groups."""
    answered = or_(_of.status.is_(None), _of.status < 400)
    told_apart = and_(_of.cache_read_tokens.is_not(None), _of.input_tokens.is_not(None))
    read = _of.input_tokens + _of.cache_read_tokens + func.coalesce(_of.cache_write_tokens, 0)
    timed = _of.tokens_per_second.is_not(None)
    found: Mapping[str, ColumnElement[Any]] = {
        "requests": func.count(),
        "errors": _count(_of.ok.is_(False)),
        "failovers": _count(_of.attempts > 1),
        "prompts": func.sum(_of.prompts),
        "tool_calls": func.sum(_of.tool_calls),
        "sessions": func.count(_of.session_id.distinct()),
        "input_tokens": func.sum(_of.input_tokens),
        "cache_read_tokens": func.sum(_of.cache_read_tokens),
        "cache_write_tokens": func.sum(_of.cache_write_tokens),
        "output_tokens": func.sum(_of.output_tokens),
        "reasoning_tokens": func.sum(_of.reasoning_tokens),
        "uncounted": _count(and_(answered, or_(_of.input_tokens.is_(None), _of.output_tokens.is_(None)))),
        "cost_nano_usd": func.sum(_of.cost_nano_usd),
        "unpriced": _count(and_(answered, _of.cost_nano_usd.is_(None))),
        "cached": func.sum(case((told_apart, _of.cache_read_tokens))),
        "cacheable": func.sum(case((told_apart, read))),
        "timed_tokens": func.sum(case((timed, _of.output_tokens))),
        "timed_ms": func.sum(case((timed, _of.last_token_ms - _of.first_token_ms))),
        "first_ms": func.min(_of.started_ms),
        "last_ms": func.max(_of.started_ms),
        "ended_ms": func.max(_of.started_ms + _of.total_ms),
    }
    return [column.label(name) for name, column in found.items()]


def figures_of(row: Any) -> Figures:
    """Of a row that `measures` were selected into."""
    return Figures(
        requests=int(row.requests),
        errors=int(row.errors),
        failovers=int(row.failovers),
        prompts=int(row.prompts or 0),
        tool_calls=int(row.tool_calls or 0),
        sessions=int(row.sessions),
        input_tokens=_whole(row.input_tokens),
        cache_read_tokens=_whole(row.cache_read_tokens),
        cache_write_tokens=_whole(row.cache_write_tokens),
        output_tokens=_whole(row.output_tokens),
        reasoning_tokens=_whole(row.reasoning_tokens),
        uncounted=int(row.uncounted),
        cost_nano_usd=_whole(row.cost_nano_usd),
        unpriced=int(row.unpriced),
        cache_hit_rate=_ratio(row.cached, row.cacheable),
        tokens_per_second=_ratio(row.timed_tokens, row.timed_ms, 1000),
        first_ms=_whole(row.first_ms),
        last_ms=_whole(row.last_ms),
        ended_ms=_whole(row.ended_ms),
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _whole(number: Any) -> int | None:
    """PostgreSQL's sums of integers are decimals."""
    return None if number is None else int(number)


def _ratio(part: Any, whole: Any, times: int = 1) -> float | None:
    return float(part) * times / float(whole) if part is not None and whole else None
