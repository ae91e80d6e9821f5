"""Each question, on both databases, against what plain Python counts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from codemie_core.store import breakdown
from codemie_core.store.analytics import DIMENSIONS, Dimension
from codemie_core.store.breakdown import Slice
from codemie_core.store.buckets import edges
from codemie_core.store.database import Database
from codemie_core.store.filters import Filter
from support import turn_rows
from support.turn_rows import DAY, NOW

TURNS = turn_rows.random_turns(11, 300)
FILTERS = [Filter(), Filter(since_ms=NOW - 9 * DAY), Filter(models=("opus",), status="ok"), Filter(models=("none",))]


@pytest.fixture
def history(database: Database) -> Database:
    with database.writing() as connection:
        turn_rows.store(connection, TURNS)
    return database


def same(found: Slice, turns: list[dict[str, Any]]) -> None:
    speeds = [turn["tokens_per_second"] for turn in turns if turn["tokens_per_second"] is not None]
    wanted = turn_rows.figures(turns)
    assert found.figures.requests == wanted.requests
    assert (found.figures.errors, found.figures.cost_nano_usd) == (wanted.errors, wanted.cost_nano_usd)
    total = sum(turn["total_ms"] for turn in turns)
    assert found.average_ms == (pytest.approx(total / len(turns)) if turns else None)
    assert (found.slowest, found.fastest) == (min(speeds, default=None), max(speeds, default=None))


@pytest.mark.parametrize("asked", FILTERS)
def test_all_together_and_by_each_name(history: Database, asked: Filter) -> None:
    turns = [dict(turn) for turn in turn_rows.matching(TURNS, asked)]
    with history.reading() as connection:
        same(breakdown.whole(connection, asked), turns)
        for dimension, column in DIMENSIONS.items():
            kind: Dimension = dimension
            found = breakdown.by_name(connection, kind, asked)
            assert set(found) == {turn[column] for turn in turns}
            for name, one in found.items():
                same(one, [turn for turn in turns if turn[column] == name])
            counts = [one.figures.requests for one in found.values()]
            assert counts == sorted(counts, reverse=True)


def test_by_time_and_by_both(history: Database) -> None:
    asked = Filter(since_ms=NOW - 30 * DAY)
    marks = edges("24h", NOW - 30 * DAY, NOW)
    turns = [dict(turn) for turn in turn_rows.matching(TURNS, asked)]
    with history.reading() as connection:
        found = breakdown.by_time(connection, marks, asked)
        split = breakdown.by_time_and_name(connection, marks, "model", asked)
    assert len(found) > 20
    for start, end in pairwise(marks):
        inside = [turn for turn in turns if start <= turn["started_ms"] < end]
        same(found.get(start, Slice()), inside)
        for model in {turn["model"] for turn in inside}:
            same(split[start, model], [turn for turn in inside if turn["model"] == model])
    assert sum(one.figures.requests for one in split.values()) == len(turns)


@pytest.mark.parametrize("size", ["1m", "5m"])
def test_buckets_of_minutes(history: Database, size: Any) -> None:
    newest = max(turn["started_ms"] for turn in TURNS)
    asked = Filter(since_ms=newest - 3_600_000)
    with history.reading() as connection:
        found = breakdown.by_time(connection, edges(size, newest - 3_600_000, newest + 1), asked)
    step = {"1m": 60_000, "5m": 300_000}[size]
    wanted = Counter(turn["started_ms"] // step * step for turn in turn_rows.matching(TURNS, asked))
    assert {start: one.figures.requests for start, one in found.items()} == wanted


def test_who_served_a_model(history: Database) -> None:
    with history.reading() as connection:
        assert breakdown.providers(connection) == {turn["model"]: "anthropic" for turn in TURNS}
        assert breakdown.providers(connection, Filter(models=("none",))) == {}
