from itertools import pairwise
from typing import Any

import pytest

from codemie_core.admin.analytics import analytics, choices
from codemie_core.admin.asked import RANGES, Asked
from codemie_core.admin.counted import counted, named
from codemie_core.admin.problems import BadQuestion
from codemie_core.store.breakdown import Slice
from codemie_core.store.figures import Figures
from support import turn_rows
from support.history_cli import keep
from support.planes import plane_of
from support.turn_rows import DAY, HOUR, NOW, new_turn

POINT = {
    *("ts", "model", "requests", "tokens", "costUsd", "successRate", "errorRate", "cacheHitRate"),
    *("avgResponseTime", "avgTokensPerSecond"),
}
SHAPE: dict[str, set[str]] = {
    "meta": {"range", "bucket", "cumulative"},
    "totals": {
        *("requests", "successRate", "activeAccounts", "avgResponseTime", "totalTokens", "totalCostUsd"),
        "avgTokensPerSecond",
    },
    "timeSeries": POINT,
    "tokenBreakdown": {"inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens"},
    "modelDistribution": {"model", "count"},
    "accountPerformance": {"name", "requests", "successRate"},
    "costByModel": {"model", "costUsd", "requests", "totalTokens"},
    "modelPerformance": {
        *("model", "avgResponseTime", "p95ResponseTime", "errorRate", "avgTokensPerSecond"),
        *("minTokensPerSecond", "maxTokensPerSecond"),
    },
}


def three() -> list[dict[str, Any]]:
    """Two of the last hour, one of an hour and a half ago."""
    return [
        new_turn(1, started_ms=NOW - 10, model="opus"),
        new_turn(2, started_ms=NOW - 20 * 60_000, model="haiku", account="spare", ok=False, status=529),
        new_turn(3, started_ms=NOW - 90 * 60_000, model="opus", total_ms=4500.0),
    ]


async def test_the_answer_has_every_name_that_is_known_elsewhere() -> None:
    keep(three())
    async with plane_of() as room:
        told = (await analytics(room.plane, Asked(range="24h"))).model_dump()
    for part, names in SHAPE.items():
        found = told[part][0] if isinstance(told[part], list) else told[part]
        assert names <= set(found), part


@pytest.mark.parametrize("span", list(RANGES))
async def test_every_range_has_its_buckets_and_counts_what_lies_in_it(span: Any) -> None:
    turns = turn_rows.random_turns(3, 200)
    keep(turns)
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(range=span), zone="UTC")
    length, _, bucket = RANGES[span]
    wanted = [turn for turn in turns if turn["started_ms"] >= NOW - length]
    assert (told.meta.bucket, told.meta.range) == (bucket, span)
    assert told.totals.requests == len(wanted) == sum(point.requests for point in told.time_series)
    assert told.totals.total_tokens == sum(point.tokens for point in told.time_series)
    assert told.previous.requests == sum(NOW - 2 * length <= turn["started_ms"] < NOW - length for turn in turns)
    steps = {"1m": 60_000, "5m": 300_000, "1h": HOUR, "1d": DAY}
    starts = [point.ts for point in told.time_series]
    assert {later - earlier for earlier, later in pairwise(starts)} == {steps[bucket]}


async def test_without_a_range_it_is_the_last_day() -> None:
    keep([*three(), new_turn(4, started_ms=NOW - 25 * HOUR)])
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(since=1))
    assert (told.meta.range, told.totals.requests, told.previous.requests) == ("24h", 3, 1)


async def test_split_by_model_and_summed_up() -> None:
    keep(three())
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(range="6h"), "cumulative", True, "UTC")
    assert told.meta.cumulative
    points = [(point.model, point.requests) for point in told.time_series]
    assert points == [("opus", 1), ("haiku", 1), ("opus", 2)]
    assert [point.error_rate for point in told.time_series] == [0, 100, 0]


async def test_what_models_and_accounts_did() -> None:
    keep(three())
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(range="24h"))
    assert [(one.model, one.count) for one in told.model_distribution] == [("opus", 2), ("haiku", 1)]
    assert {one.name: one.success_rate for one in told.account_performance} == {"main": 100, "spare": 0}
    opus, haiku = told.model_performance
    assert (opus.avg_response_time, opus.p95_response_time, opus.error_rate) == (3500, 4500, 0)
    assert (haiku.error_rate, haiku.max_tokens_per_second) == (100, 150)
    assert [one.cost_usd for one in told.cost_by_model] == [pytest.approx(0.030822), pytest.approx(0.015411)]
    assert [one.name for one in told.agent_performance] == ["claude"]


async def test_filters_count_everywhere() -> None:
    keep(three())
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(range="24h", accounts=("spare",), status="error"))
        nobody = await analytics(room.plane, Asked(range="24h", accounts=("no_account",)))
    assert told.totals.requests == sum(point.requests for point in told.time_series) == 1
    assert [one.model for one in told.cost_by_model] == ["haiku"]
    assert nobody.totals.requests == 0


@pytest.mark.parametrize("zone", ["Nowhere/Else", "../../etc/passwd", "Europe", "a\0b", "/etc/localtime"])
async def test_a_time_zone_that_does_not_exist_is_a_bad_question(zone: str) -> None:
    async with plane_of() as room:
        with pytest.raises(BadQuestion, match="Europe/Vienna"):
            await analytics(room.plane, Asked(range="30d"), zone=zone)


async def test_days_begin_at_midnight_where_the_viewer_is() -> None:
    async with plane_of() as room:
        told = await analytics(room.plane, Asked(range="30d"), zone="Asia/Kolkata")
    assert told.time_series[-1].ts % DAY == DAY - 5.5 * HOUR


async def test_names_to_choose_from_are_those_of_the_history_without_the_empty_one() -> None:
    keep([*three(), new_turn(4, account="", client_key="ann", project="tools")])
    async with plane_of() as room:
        told = await choices(room.plane)
    assert told.model_dump() == {
        "models": ["claude-sonnet-4-5-20250929", "haiku", "opus"],
        "accounts": ["main", "spare"],
        "agents": ["claude"],
        "projects": ["shop", "tools"],
        "branches": ["main"],
        "apiKeys": ["ann"],
    }


def test_figures_of_nothing_are_zero_and_unknown_times_are_none() -> None:
    told = counted(Slice())
    assert (told.requests, told.success_rate, told.cost_usd, told.last_used) == (0, 0, 0, None)
    assert named("x", Slice(Figures(requests=1, last_ms=0))).last_used == "1970-01-01T00:00:00.000Z"
