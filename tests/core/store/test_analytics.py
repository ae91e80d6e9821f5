"""Every question with every filter, against what plain Python counts."""

from __future__ import annotations

import dataclasses
import itertools
from bisect import bisect_right
from collections import Counter
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from codemie_core.store import analytics, buckets
from codemie_core.store.analytics import DIMENSIONS, Bucket, Latency
from codemie_core.store.database import Database
from codemie_core.store.figures import Figures
from codemie_core.store.filters import Filter
from support import turn_rows
from support.turn_rows import DAY, HOUR, NOW, new_turn

TURNS = turn_rows.random_turns(7, 400)
CALLS = turn_rows.random_calls(8, TURNS)
FILTERS = {
    "everything": Filter(),
    "since": Filter(since_ms=NOW - 9 * DAY),
    "until": Filter(until_ms=NOW - 9 * DAY),
    "between": Filter(since_ms=TURNS[0]["started_ms"], until_ms=TURNS[0]["started_ms"] + 1),
    "models": Filter(models=("opus",)),
    "several models": Filter(models=("opus", "haiku", "no such")),
    "accounts": Filter(accounts=("main",)),
    "no account": Filter(accounts=("",)),
    "agents": Filter(agents=("codex",)),
    "sessions": Filter(sessions=("session-3",)),
    "conversations": Filter(conversations=("two",)),
    "projects": Filter(projects=("shop",)),
    "branches": Filter(branches=("feature/x", "")),
    "client keys": Filter(client_keys=("ann",)),
    "ok": Filter(status="ok"),
    "error": Filter(status="error"),
    "all at once": Filter(
        since_ms=NOW - 39 * DAY,
        until_ms=NOW,
        models=("opus", "sonnet"),
        accounts=("main", ""),
        agents=("claude", "unknown"),
        sessions=tuple(f"session-{n}" for n in range(10)),
        conversations=("", "one", "two"),
        projects=("shop", ""),
        branches=("main", "EPM-1"),
        client_keys=("ann", ""),
        status="ok",
    ),
    "nothing": Filter(models=("no such",)),
}
ZONES = [ZoneInfo("UTC"), ZoneInfo("Europe/Vienna"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]


@pytest.fixture
def history(database: Database) -> Database:
    with database.writing() as connection:
        turn_rows.store(connection, TURNS, CALLS)
    return database


def same(found: Any, wanted: Any) -> bool:
    """To the last digit, but for sums of fractions, which depend on their order."""
    if isinstance(wanted, Figures):
        assert found.tokens_per_second == pytest.approx(wanted.tokens_per_second)
        found = dataclasses.replace(found, tokens_per_second=wanted.tokens_per_second)
    assert found == wanted
    return True


def test_every_question_with_every_filter_equals_the_reference(history: Database) -> None:
    with history.reading() as connection:
        for name, asked in FILTERS.items():
            turns = turn_rows.matching(TURNS, asked)
            assert bool(turns) == (name != "nothing"), name
            assert same(analytics.totals(connection, asked), turn_rows.figures(turns)), name
            assert analytics.latency(connection, asked) == turn_rows.latency(turns), name
            assert analytics.tools(connection, asked) == turn_rows.tool_figures(turns, CALLS), name
            for dimension in DIMENSIONS:
                wanted = turn_rows.grouped(turns, dimension, turn_rows.figures)
                found = analytics.by(connection, dimension, asked)
                assert found.keys() == wanted.keys(), (name, dimension)
                assert all(same(found[key], wanted[key]) for key in wanted), (name, dimension)
                assert list(found) == sorted(wanted, key=lambda key: by_cost(key, wanted)), (name, dimension)
                assert analytics.latency_by(connection, dimension, asked) == turn_rows.grouped(
                    turns, dimension, turn_rows.latency
                )
                assert analytics.names(connection, dimension, asked) == sorted(wanted)


def by_cost(key: str, wanted: dict[str, Figures]) -> tuple[int, int, str]:
    cost = wanted[key].cost_nano_usd
    return (1 if cost is None else -cost, -wanted[key].requests, key)


# In minutes nobody looks at forty days: they are in test_breakdown.
@pytest.mark.parametrize("size", get_args(buckets.Size.__value__)[2:])
def test_every_series_with_every_filter_equals_the_reference(size: buckets.Size, history: Database) -> None:
    with history.reading() as connection:
        for (name, asked), zone in zip(FILTERS.items(), itertools.cycle(ZONES), strict=False):
            found = analytics.series(connection, size, asked, zone=zone, now_ms=NOW, with_latency=True)
            turns = turn_rows.matching(TURNS, asked)
            assert sum(bucket.figures.requests for bucket in found) == len(turns), name
            starts = [bucket.start_ms for bucket in found]
            assert starts == sorted(starts)
            inside = Counter(bisect_right(starts, turn["started_ms"]) - 1 for turn in turns)
            empty = [bucket for bucket in found if (bucket.figures, bucket.latency) == (Figures(), Latency())]
            assert len(empty) == len(found) - len(inside), (name, zone)
            for bucket in (found[number] for number in inside):
                within = [turn for turn in turns if bucket.start_ms <= turn["started_ms"] < bucket.end_ms]
                assert same(bucket.figures, turn_rows.figures(within)), (name, zone)
                assert bucket.latency == turn_rows.latency(within), (name, zone)


def test_a_series_leaves_no_gap_and_ends_with_now(history: Database) -> None:
    with history.reading() as connection:
        found = analytics.series(
            connection, "24h", Filter(since_ms=NOW - 3 * DAY, models=("no such",)), zone=ZONES[0], now_ms=NOW
        )
        first = NOW - 3 * DAY - NOW % DAY
        assert found == [Bucket(first + n * DAY, first + (n + 1) * DAY, Figures()) for n in range(4)]
        assert analytics.series(connection, "24h", Filter(models=("no such",)), now_ms=NOW) == []
        [*_, last] = analytics.series(connection, "1h", Filter(since_ms=NOW - DAY), zone=ZONES[0], now_ms=NOW)
        assert (last.start_ms, last.end_ms) == (NOW - HOUR // 2, NOW + HOUR // 2)
        assert last.latency is None


def test_days_are_those_of_the_zone_also_when_clocks_change(database: Database) -> None:
    vienna = ZoneInfo("Europe/Vienna")
    # 2026-10-25 has 25 hours there: from 22:00 UTC of the 24th to 23:00 UTC.
    midnight = NOW - NOW % DAY - 10 * DAY - 2 * HOUR
    moments = [midnight - 1, midnight, midnight + 25 * HOUR - 1, midnight + 25 * HOUR]
    with database.writing() as connection:
        turn_rows.store(connection, [new_turn(n, started_ms=moment) for n, moment in enumerate(moments)])
    with database.reading() as connection:
        asked = Filter(until_ms=midnight + 49 * HOUR)
        found = analytics.series(connection, "24h", asked, zone=vienna)
    assert [bucket.figures.requests for bucket in found] == [1, 2, 1]
    assert [(bucket.end_ms - bucket.start_ms) // HOUR for bucket in found] == [24, 25, 24]


def test_a_turn_of_a_clock_that_is_ahead_is_in_the_series(database: Database) -> None:
    with database.writing() as connection:
        turn_rows.store(connection, [new_turn(started_ms=NOW + 2 * DAY)])
    with database.reading() as connection:
        found = analytics.series(connection, "24h", Filter(since_ms=NOW), zone=ZONES[0], now_ms=NOW)
    assert [bucket.figures.requests for bucket in found] == [0, 0, 1]


def test_what_is_unknown_is_not_nothing(database: Database) -> None:
    unknown = {"cost_nano_usd": None, "input_tokens": None, "output_tokens": None, "cache_read_tokens": None}
    with database.writing() as connection:
        turn_rows.store(
            connection,
            [
                new_turn(1, model="dear", cost_nano_usd=5),
                new_turn(2, model="dear", **unknown),
                new_turn(3, model="unknown", first_token_ms=None, tokens_per_second=None, **unknown),
                new_turn(4, model="refused", status=429, ok=False, **unknown),
            ],
        )
    with database.reading() as connection:
        found = analytics.by(connection, "model")
        assert list(found) == ["dear", "refused", "unknown"]
        assert {name: (each.cost_nano_usd, each.unpriced, each.uncounted) for name, each in found.items()} == {
            "dear": (5, 1, 1),
            "unknown": (None, 1, 1),
            "refused": (None, 0, 0),
        }
        unknown_one = found["unknown"]
        assert (unknown_one.input_tokens, unknown_one.prompt_tokens, unknown_one.cache_hit_rate) == (None, None, None)
        assert analytics.latency_by(connection, "model")["unknown"].first_token.p50 is None


def test_without_history_there_is_nothing(database: Database) -> None:
    with database.reading() as connection:
        assert analytics.totals(connection) == Figures()
        assert analytics.totals(connection).error_rate is None
        assert analytics.latency(connection) == Latency()
        assert (analytics.by(connection, "model"), analytics.tools(connection)) == ({}, [])
        assert analytics.series(connection, "1h") == []


def test_lists_can_be_cut_and_ordered_by_last_use(history: Database) -> None:
    with history.reading() as connection:
        whole = list(analytics.by(connection, "session"))
        assert list(analytics.by(connection, "session", limit=3)) == whole[:3]
        recent = analytics.by(connection, "session", order="recent")
        moments = [figures.last_ms for figures in recent.values()]
        assert moments == sorted(moments, key=lambda moment: -(moment or 0))
        assert len(analytics.tools(connection, limit=2)) == 2
