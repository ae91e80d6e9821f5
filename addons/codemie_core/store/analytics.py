"""What the history says: how much, how fast, how well, at what cost. Each question is one SQL, on both databases.

Turns are counted at the moment they began. Latencies are those of all turns the filter lets through; ask with status
"ok" to leave out those that failed at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import groupby, pairwise
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from codemie_core.store import tables
from codemie_core.store.buckets import Size, edges
from codemie_core.store.figures import Figures, figures_of, measures
from codemie_core.store.filters import EVERYTHING, Filter, conditions

type Dimension = Literal["model", "account", "agent", "session", "conversation", "project", "branch", "client_key"]
type Order = Literal["cost", "recent"]

DIMENSIONS: Mapping[Dimension, str] = {
    "model": "model",
    "account": "account",
    "agent": "agent",
    "session": "session_id",
    "conversation": "conversation_id",
    "project": "project",
    "branch": "branch",
    "client_key": "client_key",
}
"""What turns can be told apart by, and the column that says it."""

_turns = tables.requests
_calls = tables.tool_calls


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds: of so many values this many percent are not above. A value that was measured, none in between."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long turns took, and their first token, where one was streamed."""

    total: Percentiles = Percentiles()
    first_token: Percentiles = Percentiles()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of time. The first and the last may reach beyond what was asked for; what is counted does not."""

    start_ms: int
    end_ms: int
    figures: Figures
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """Calls of one tool. `unknown`: no later turn has told how they went."""

    name: str
    calls: int
    ok: int
    failed: int
    unknown: int
    requests: int


def totals(connection: Connection, asked: Filter = EVERYTHING) -> Figures:
    """Of all turns together."""
    return figures_of(connection.execute(_where(select(*measures()), asked)).one())


def by(
    connection: Connection,
    dimension: Dimension,
    asked: Filter = EVERYTHING,
    limit: int | None = None,
    order: Order = "cost",
) -> dict[str, Figures]:
    """Of each model, account, ...; those that cost most first, or those used last. "" are turns without one."""
    key = _turns.c[DIMENSIONS[dimension]]
    by_cost = (func.coalesce(func.sum(_turns.c.cost_nano_usd), -1).desc(), func.count().desc())
    first = by_cost if order == "cost" else (func.max(_turns.c.started_ms).desc(),)
    return _grouped(connection, key, asked, (*first, key), limit)


def series(
    connection: Connection,
    size: Size,
    asked: Filter = EVERYTHING,
    *,
    zone: tzinfo | None = None,
    now_ms: int | None = None,
    with_latency: bool = False,
) -> list[Bucket]:
    """Of each bucket, empty ones too, oldest first; none when no turn matches and no time is named.

    Without `since_ms` it begins with the first turn, without `until_ms` it ends with now. Days begin at midnight in
    `zone`, which is this machine's unless named. TooManyBuckets when they are more than anybody can look at.
    """
    ends = _ends(connection, asked, now_ms)
    if ends is None:
        return []
    marks = edges(size, *ends, zone)
    key = bucket_start(marks)
    found = _grouped(connection, key, asked)
    times = _latencies(connection, asked, key) if with_latency else None
    return [
        Bucket(start, end, found.get(start, Figures()), None if times is None else times.get(start, Latency()))
        for start, end in pairwise(marks)
    ]


def latency(connection: Connection, asked: Filter = EVERYTHING) -> Latency:
    """Of all turns together."""
    return _latencies(connection, asked).get(None, Latency())


def latency_by(connection: Connection, dimension: Dimension, asked: Filter = EVERYTHING) -> dict[str, Latency]:
    """Of each model, account, ..."""
    return _latencies(connection, asked, _turns.c[DIMENSIONS[dimension]])


def tools(connection: Connection, asked: Filter = EVERYTHING, limit: int | None = None) -> list[ToolFigures]:
    """The tools that these turns called, the most called first."""
    calls = func.count()
    query = (
        _where(
            select(
                _calls.c.name,
                calls.label("calls"),
                func.count().filter(_calls.c.ok.is_(True)).label("ok"),
                func.count().filter(_calls.c.ok.is_(False)).label("failed"),
                func.count().filter(_calls.c.ok.is_(None)).label("unknown"),
                func.count(_calls.c.request_id.distinct()).label("requests"),
            ).join_from(_turns, _calls),
            asked,
        )
        .group_by(_calls.c.name)
        .order_by(calls.desc(), _calls.c.name)
        .limit(limit)
    )
    return [ToolFigures(**row._mapping) for row in connection.execute(query)]


def names(connection: Connection, dimension: Dimension, asked: Filter = EVERYTHING) -> list[str]:
    """Which models, accounts, ... there are, in order."""
    key = _turns.c[DIMENSIONS[dimension]]
    return list(connection.execute(_where(select(key).distinct(), asked).order_by(key)).scalars())


def _where[S: Select[Any]](query: S, asked: Filter) -> S:
    return query.where(*conditions(asked))


def _grouped(
    connection: Connection,
    key: ColumnElement[Any],
    asked: Filter,
    order: Sequence[ColumnElement[Any]] = (),
    limit: int | None = None,
) -> dict[Any, Figures]:
    query = _where(select(key.label("key"), *measures()), asked).group_by(key).order_by(*order).limit(limit)
    return {row.key: figures_of(row) for row in connection.execute(query)}


def _ends(connection: Connection, asked: Filter, now_ms: int | None) -> tuple[int, int] | None:
    """[since, until) of a series; None when there is nothing to show."""
    since, until = asked.since_ms, asked.until_ms
    if since is None or until is None:
        oldest, newest = connection.execute(
            _where(select(func.min(_turns.c.started_ms), func.max(_turns.c.started_ms)), asked)
        ).one()
        if since is None and oldest is None:
            return None
        now = round(time.time() * 1000) if now_ms is None else now_ms
        since = oldest if since is None else since
        # Another machine's clock may be ahead of this one's.
        until = max(now, (newest or 0) + 1) if until is None else until
    return since, max(since, until)


def bucket_start(marks: Sequence[int]) -> ColumnElement[int]:
    """Where the turn's bucket starts, by arithmetic: buckets are equally long but for days on which clocks change."""
    lengths = [(start, end - start) for start, end in pairwise(marks)]
    runs = [next(run) for _, run in groupby(lengths, key=lambda bucket: bucket[1])]
    at = _turns.c.started_ms
    starts = [_number(start) + (at - _number(start)) // _number(size) * _number(size) for start, size in runs]
    until = [at < _number(start) for start, _ in runs[1:]]
    return case(*zip(until, starts, strict=False), else_=starts[-1]) if until else starts[-1]


def _number(number: int) -> ColumnElement[int]:
    # Written out, not bound: PostgreSQL knows a grouped expression again only by its text.
    return literal_column(str(number), BigInteger)


def _latencies(connection: Connection, asked: Filter, key: ColumnElement[Any] | None = None) -> dict[Any, Latency]:
    """By the key; all together under None."""
    grouped = literal(None, BigInteger) if key is None else key

    def ranks(name: str) -> Select[Any]:
        value = _turns.c[name]
        known = _where(select(grouped.label("key"), value.label("value")), asked).where(value.is_not(None)).subquery()
        share = func.cume_dist().over(partition_by=known.c.key, order_by=known.c.value)
        ranked = select(known, share.label("share")).subquery()
        return select(
            ranked.c.key,
            literal(name).label("what"),
            func.count().label("counted"),
            *(func.min(case((ranked.c.share >= p / 100, ranked.c.value))).label(f"p{p}") for p in (50, 95, 99)),
            func.max(ranked.c.value).label("highest"),
        ).group_by(ranked.c.key)

    # Two sorts of one kind each: a third quicker than one of both.
    query = union_all(ranks("total_ms"), ranks("first_token_ms"))
    found: dict[Any, dict[str, Percentiles]] = {}
    for row in connection.execute(query):
        found.setdefault(row.key, {})[row.what] = Percentiles(row.counted, row.p50, row.p95, row.p99, row.highest)
    return {
        each: Latency(told.get("total_ms", Percentiles()), told.get("first_token_ms", Percentiles()))
        for each, told in found.items()
    }
