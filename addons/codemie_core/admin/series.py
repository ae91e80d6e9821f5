"""Points of a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from codemie_core.admin.counted import all_tokens, success_rate
from codemie_core.admin.wire import Wire, percent, usd
from codemie_core.store.breakdown import Slice

type Mode = Literal["normal", "cumulative"]


class TimePoint(Wire):
    """A bucket of time, of one model where the series is split. Rates are 0 to 100."""

    ts: int = Field(description="Where the bucket starts, in milliseconds since 1970.")
    model: str | None = None
    requests: int
    tokens: int
    cost_usd: float
    success_rate: float
    error_rate: float
    cache_hit_rate: float
    avg_response_time: float
    avg_tokens_per_second: float | None


def point(start: int, found: Slice, model: str | None = None) -> TimePoint:
    """One bucket."""
    figures = found.figures
    return TimePoint(
        ts=start,
        model=model,
        requests=figures.requests,
        tokens=all_tokens(figures),
        cost_usd=usd(figures.cost_nano_usd) or 0.0,
        success_rate=success_rate(figures),
        error_rate=percent(figures.errors, figures.requests),
        cache_hit_rate=percent(figures.cache_hit_rate),
        avg_response_time=found.average_ms or 0.0,
        avg_tokens_per_second=figures.tokens_per_second,
    )


def summed_up(points: Iterable[TimePoint]) -> list[TimePoint]:
    """What has come together up to the end of each bucket, of each model by itself. Rates and times stay its own."""
    requests: defaultdict[str | None, int] = defaultdict(int)
    tokens: defaultdict[str | None, int] = defaultdict(int)
    cost: defaultdict[str | None, float] = defaultdict(float)
    found = []
    for one in points:
        requests[one.model] += one.requests
        tokens[one.model] += one.tokens
        cost[one.model] += one.cost_usd
        changed = {"requests": requests[one.model], "tokens": tokens[one.model], "cost_usd": cost[one.model]}
        found.append(one.model_copy(update=changed))
    return found
