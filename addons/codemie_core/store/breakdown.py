"""What dashboards draw: turns by a name, by time, or by both, with averages. Each question is one SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from codemie_core.store import tables
from codemie_core.store.analytics import DIMENSIONS, Dimension, bucket_start
from codemie_core.store.figures import Figures, figures_of, measures
from codemie_core.store.filters import EVERYTHING, Filter, conditions

_turns = tables.requests


@dataclass(frozen=True, slots=True)
class Slice:
    """A set of turns. None is unknown: no turn had a value."""

    figures: Figures = field(default_factory=Figures)
    average_ms: float | None = None
    """How long they took, those that failed too."""
    slowest: float | None = None
    fastest: float | None = None
    """Output tokens per second of single turns."""


def whole(connection: Connection, asked: Filter = EVERYTHING) -> Slice:
    """All of them together."""
    return _sliced(connection, asked, {})[()]


def by_name(connection: Connection, dimension: Dimension, asked: Filter = EVERYTHING) -> dict[str, Slice]:
    """Of each model, account, ...; those with most turns first. "" are turns without one."""
    found = _sliced(connection, asked, {"name": _turns.c[DIMENSIONS[dimension]]})
    rows = sorted(found.items(), key=lambda row: (-row[1].figures.requests, row[0]))
    return {name: each for (name,), each in rows}


def by_time(connection: Connection, marks: Sequence[int], asked: Filter) -> dict[int, Slice]:
    """Of each bucket between two of the marks that has any turn; by where it starts. Empty ones are not told."""
    found = _sliced(connection, asked, {"start": bucket_start(marks)})
    return {start: each for (start,), each in sorted(found.items())}


def by_time_and_name(
    connection: Connection, marks: Sequence[int], dimension: Dimension, asked: Filter
) -> dict[tuple[int, str], Slice]:
    """Of each bucket and each model, account, ... in it."""
    keys = {"start": bucket_start(marks), "name": _turns.c[DIMENSIONS[dimension]]}
    return {(start, name): each for (start, name), each in sorted(_sliced(connection, asked, keys).items())}


def providers(connection: Connection, asked: Filter = EVERYTHING) -> dict[str, str]:
    """Of each model who served it; of several the last in order."""
    query = select(_turns.c.model, func.max(_turns.c.provider)).where(*conditions(asked)).group_by(_turns.c.model)
    return {model: provider or "" for model, provider in connection.execute(query)}


def _sliced(
    connection: Connection, asked: Filter, keys: Mapping[str, ColumnElement[Any]]
) -> dict[tuple[Any, ...], Slice]:
    speed = _turns.c.tokens_per_second
    query = (
        select(
            *(key.label(name) for name, key in keys.items()),
            *measures(),
            func.avg(_turns.c.total_ms).label("average_ms"),
            func.min(speed).label("slowest"),
            func.max(speed).label("fastest"),
        )
        .where(*conditions(asked))
        .group_by(*keys.values())
    )
    return {
        tuple(row._mapping[name] for name in keys): Slice(figures_of(row), row.average_ms, row.slowest, row.fastest)
        for row in connection.execute(query)
    }
