"""How much, how fast, how well, at what cost: over a range of time, by model, account, agent, project, client key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from codemie_core.admin import series
from codemie_core.admin.asked import NO_ACCOUNT, RANGES, Asked, Range
from codemie_core.admin.counted import Counted, Named, all_tokens, counted, named, success_rate
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion
from codemie_core.admin.series import Mode, TimePoint
from codemie_core.admin.wire import Wire, percent, usd
from codemie_core.store import analytics as history
from codemie_core.store.analytics import Dimension, Latency
from codemie_core.store.breakdown import Breakdown, Slice
from codemie_core.store.buckets import edges

if TYPE_CHECKING:
    from sqlalchemy import Connection

DEFAULT: Literal["24h"] = "24h"


class Meta(Wire):
    """What was asked."""

    range: Range
    bucket: Literal["1m", "5m", "1h", "1d"]
    cumulative: bool
    since: int
    until: int


class Totals(Wire):
    """Of the whole range. Rates are 0 to 100."""

    requests: int
    success_rate: float
    active_accounts: int
    avg_response_time: float
    total_tokens: int
    total_cost_usd: float
    avg_tokens_per_second: float | None
    cache_hit_rate: float
    sessions: int
    failovers: int
    tool_calls: int
    unpriced: int


class TokenBreakdown(Wire):
    """Of the whole range."""

    input_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    output_tokens: int


class ModelCount(Wire):
    """How often a model served."""

    model: str
    count: int


class AccountPerformance(Wire):
    """How well an account served."""

    name: str
    requests: int
    success_rate: float
    cost_usd: float
    total_tokens: int


class ModelCost(Wire):
    """What a model cost."""

    model: str
    cost_usd: float
    requests: int
    total_tokens: int


class ModelPerformance(Wire):
    """How fast a model was. Times are milliseconds, speeds output tokens per second."""

    model: str
    avg_response_time: float
    p95_response_time: float
    error_rate: float
    avg_tokens_per_second: float | None
    min_tokens_per_second: float | None
    max_tokens_per_second: float | None
    p50_response_time: float | None
    p95_first_token: float | None


class Analytics(Wire):
    """The answer of /api/analytics."""

    meta: Meta
    totals: Totals
    time_series: list[TimePoint]
    token_breakdown: TokenBreakdown
    model_distribution: list[ModelCount]
    account_performance: list[AccountPerformance]
    cost_by_model: list[ModelCost]
    model_performance: list[ModelPerformance]
    agent_performance: list[Named]
    project_performance: list[Named]
    api_key_performance: list[Named]
    previous: Counted
    """The same length of time before it, to compare with."""


class Choices(Wire):
    """Names that turns can be filtered by."""

    models: list[str]
    accounts: list[str]
    agents: list[str]
    projects: list[str]
    branches: list[str]
    api_keys: list[str]


async def analytics(
    plane: Plane, asked: Asked, mode: Mode = "normal", model_breakdown: bool = False, zone: str = ""
) -> Analytics:
    """`zone` is where days begin, like Europe/Vienna; this machine's when empty. Without a range it is the last day."""
    if not asked.range:
        asked = replace(asked, range=DEFAULT)
    now = round(plane.clock() * 1000)
    days_in = _zone(zone)
    return await plane.read(lambda connection: _answer(connection, asked, now, mode, model_breakdown, days_in))


async def choices(plane: Plane) -> Choices:
    """Those that the history knows."""

    def names(connection: Connection) -> Choices:
        def of(dimension: Dimension) -> list[str]:
            return [name for name in history.names(connection, dimension) if name]

        return Choices(
            models=of("model"),
            accounts=of("account"),
            agents=of("agent"),
            projects=of("project"),
            branches=of("branch"),
            api_keys=of("client_key"),
        )

    return await plane.read(names)


def _answer(
    connection: Connection, asked: Asked, now: int, mode: Mode, by_model: bool, zone: ZoneInfo | None
) -> Analytics:
    assert asked.range
    wanted = asked.filter(now)
    length, size, bucket = RANGES[asked.range]
    since = now - length
    before = replace(wanted, since_ms=since - length, until_ms=since)
    marks = edges(size, since, now + 1, zone)
    found = Breakdown(connection, wanted, ("model", "account", "agent", "project", "client_key"), marks)
    whole, models, accounts = found.whole(), found.by_name("model"), found.by_name("account")
    return Analytics(
        meta=Meta(range=asked.range, bucket=bucket, cumulative=mode == "cumulative", since=since, until=now),
        totals=_totals(whole, accounts),
        time_series=_series(found, marks, mode, by_model),
        token_breakdown=_tokens(whole),
        model_distribution=[ModelCount(model=name, count=one.figures.requests) for name, one in models.items()],
        account_performance=[_account(name, one) for name, one in accounts.items()],
        cost_by_model=sorted((_cost(name, one) for name, one in models.items()), key=lambda one: -one.cost_usd),
        model_performance=_performance(models, history.latency_by(connection, "model", wanted)),
        agent_performance=_named(found, "agent"),
        project_performance=_named(found, "project"),
        api_key_performance=_named(found, "client_key"),
        previous=counted(Breakdown(connection, before).whole()),
    )


def _series(found: Breakdown, marks: list[int], mode: Mode, by_model: bool) -> list[TimePoint]:
    if by_model:
        split = found.by_time_and_name("model")
        points = [series.point(start, one, model) for (start, model), one in split.items()]
    else:
        filled = found.by_time()
        points = [series.point(start, filled.get(start, Slice())) for start, _ in pairwise(marks)]
    return series.summed_up(points) if mode == "cumulative" else points


def _totals(whole: Slice, accounts: Mapping[str, Slice]) -> Totals:
    figures = whole.figures
    return Totals(
        requests=figures.requests,
        success_rate=success_rate(figures),
        active_accounts=sum(1 for name in accounts if name),
        avg_response_time=whole.average_ms or 0.0,
        total_tokens=all_tokens(figures),
        total_cost_usd=usd(figures.cost_nano_usd) or 0.0,
        avg_tokens_per_second=figures.tokens_per_second,
        cache_hit_rate=percent(figures.cache_hit_rate),
        sessions=figures.sessions,
        failovers=figures.failovers,
        tool_calls=figures.tool_calls,
        unpriced=figures.unpriced,
    )


def _tokens(whole: Slice) -> TokenBreakdown:
    figures = whole.figures
    return TokenBreakdown(
        input_tokens=figures.input_tokens or 0,
        cache_read_input_tokens=figures.cache_read_tokens or 0,
        cache_creation_input_tokens=figures.cache_write_tokens or 0,
        output_tokens=figures.output_tokens or 0,
    )


def _account(name: str, one: Slice) -> AccountPerformance:
    return AccountPerformance(
        name=name or NO_ACCOUNT,
        requests=one.figures.requests,
        success_rate=success_rate(one.figures),
        cost_usd=usd(one.figures.cost_nano_usd) or 0.0,
        total_tokens=all_tokens(one.figures),
    )


def _cost(name: str, one: Slice) -> ModelCost:
    return ModelCost(
        model=name,
        cost_usd=usd(one.figures.cost_nano_usd) or 0.0,
        requests=one.figures.requests,
        total_tokens=all_tokens(one.figures),
    )


def _performance(models: Mapping[str, Slice], times: Mapping[str, Latency]) -> list[ModelPerformance]:
    return [
        ModelPerformance(
            model=name,
            avg_response_time=one.average_ms or 0.0,
            p95_response_time=(took := times.get(name, Latency())).total.p95 or 0.0,
            error_rate=percent(one.figures.errors, one.figures.requests),
            avg_tokens_per_second=one.figures.tokens_per_second,
            min_tokens_per_second=one.slowest,
            max_tokens_per_second=one.fastest,
            p50_response_time=took.total.p50,
            p95_first_token=took.first_token.p95,
        )
        for name, one in models.items()
    ]


def _named(found: Breakdown, dimension: Dimension) -> list[Named]:
    return [named(name, one) for name, one in found.by_name(dimension).items()]


def _zone(name: str) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadQuestion("zone: write the name of a time zone, like Europe/Vienna.") from None
