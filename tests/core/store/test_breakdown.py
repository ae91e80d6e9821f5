"""Each question, on both databases, against what plain Python counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from codemie_core.store.analytics import DIMENSIONS
from codemie_core.store.breakdown import Breakdown, Slice, providers
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


def same(found: Slice, turns: list[dict[str, Any]], counted: bool = True) -> None:
    if counted:
        assert found.figures.sessions == len({turn["session_id"] for turn in turns})
    speeds = [turn["tokens_per_second"] for turn in turns if turn["tokens_per_second"] is not None]
    wanted = turn_rows.figures(turns)
    assert found.figures.tokens_per_second == pytest.approx(wanted.tokens_per_second)
    told = replace(found.figures, sessions=wanted.sessions, tokens_per_second=wanted.tokens_per_second)
    assert told == wanted
    total = sum(turn["total_ms"] for turn in turns)
    assert found.average_ms == (pytest.approx(total / len(turns)) if turns else None)
    assert (found.slowest, found.fastest) == (min(speeds, default=None), max(speeds, default=None))


@pytest.mark.parametrize("asked", FILTERS)
def test_all_together_and_by_each_name(history: Database, asked: Filter) -> None:
    turns = [dict(turn) for turn in turn_rows.matching(TURNS, asked)]
    with history.reading() as connection:
        all_names = Breakdown(connection, asked, tuple(DIMENSIONS))
        same(all_names.whole(), turns)
        for dimension, column in DIMENSIONS.items():
            found = all_names.by_name(dimension)
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
        both = Breakdown(connection, asked, ("agent", "model"), marks)
    found, split = both.by_time(), both.by_time_and_name("model")
    assert len(found) > 20
    for start, end in pairwise(marks):
        inside = [turn for turn in turns if start <= turn["started_ms"] < end]
        same(found.get(start, Slice()), inside, counted=False)
        for model in {turn["model"] for turn in inside}:
            same(split[start, model], [turn for turn in inside if turn["model"] == model], counted=False)
    assert sum(one.figures.requests for one in split.values()) == len(turns)


@pytest.mark.parametrize("size", ["1m", "5m"])
def test_buckets_of_minutes(history: Database, size: Any) -> None:
    newest = max(turn["started_ms"] for turn in TURNS)
    asked = Filter(since_ms=newest - 3_600_000)
    with history.reading() as connection:
        found = Breakdown(connection, asked, marks=edges(size, newest - 3_600_000, newest + 1)).by_time()
    step = {"1m": 60_000, "5m": 300_000}[size]
    wanted = Counter(turn["started_ms"] // step * step for turn in turn_rows.matching(TURNS, asked))
    assert {start: one.figures.requests for start, one in found.items()} == wanted


def test_who_served_a_model(history: Database) -> None:
    with history.reading() as connection:
        assert providers(connection) == {turn["model"]: "anthropic" for turn in TURNS}
        assert providers(connection, Filter(models=("none",))) == {}


def test_which_names_come_with_which(history: Database) -> None:
    with history.reading() as connection:
        found = Breakdown(connection, dimensions=("agent", "account")).beside("agent", "account")
    for agent in ("claude", "codex", "unknown"):
        assert found[agent] == sorted({turn["account"] for turn in TURNS if turn["agent"] == agent} - {""})
