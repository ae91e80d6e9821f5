"""What the chart of the analytics draws."""

from __future__ import annotations

import pytest

from codemie_core.admin.pages.figures_over_time import BY_KEY, LINES, OTHERS, lines_of, mood_of
from codemie_core.admin.pages.widgets import Line
from codemie_core.admin.series import TimePoint, summed_up

MOMENTS = [0, 60, 120]


def point(ts: int, model: str | None = None, requests: int = 1, cost: float = 1.0, took: float = 100.0) -> TimePoint:
    return TimePoint(
        ts=ts,
        model=model,
        requests=requests,
        tokens=0,
        cost_usd=cost,
        success_rate=50.0,
        error_rate=50.0,
        cache_hit_rate=0.0,
        avg_response_time=took,
        avg_tokens_per_second=None,
    )


def values(lines: list[Line]) -> dict[str, list[float | None]]:
    return {line.name: list(line.values) for line in lines}


def test_where_nothing_happened_sums_are_nothing_and_averages_are_unknown() -> None:
    points = [point(0), point(60, requests=0, cost=0.0, took=0.0), point(120)]
    assert values(lines_of(BY_KEY["cost"], points, MOMENTS, ())) == {"Cost": [1.0, 0.0, 1.0]}
    assert values(lines_of(BY_KEY["time"], points, MOMENTS, ())) == {"Response": [100.0, None, 100.0]}


def test_each_model_has_a_line_in_the_order_of_the_models() -> None:
    points = [point(0, "b"), point(60, "a", cost=3.0)]
    lines = lines_of(BY_KEY["cost"], points, MOMENTS, ("a", "b"))
    assert [line.name for line in lines] == ["a", "b"]
    assert values(lines) == {"a": [0, 3.0, 0], "b": [1.0, 0, 0]}
    assert len({line.color for line in lines}) == 2


def test_models_beyond_those_with_a_line_share_one_and_nothing_of_them_is_lost() -> None:
    models = [f"model-{n}" for n in range(LINES + 2)]
    points = [point(0, model) for model in models]
    lines = values(lines_of(BY_KEY["cost"], points, MOMENTS, models))
    assert list(lines) == [*models[:LINES], OTHERS]
    assert lines[OTHERS][0] == 2.0


def test_no_average_of_averages_is_told() -> None:
    models = [f"model-{n}" for n in range(LINES + 2)]
    points = [point(0, model) for model in models]
    assert OTHERS not in values(lines_of(BY_KEY["time"], points, MOMENTS, models))


def test_summed_up_lines_go_on_at_their_height_where_a_model_rests() -> None:
    models = [f"model-{n}" for n in range(LINES + 2)]
    points = [point(0, models[0]), point(0, models[-1]), point(60, models[-2]), point(120, models[-1])]
    lines = values(lines_of(BY_KEY["cost"], summed_up(points), MOMENTS, models, summed=True))
    assert lines == {models[0]: [1.0, 1.0, 1.0], OTHERS: [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    "key, now, before, mood",
    [
        ("success", 99.0, 90.0, "good"),
        ("success", 90.0, 99.0, "bad"),
        ("time", 90.0, 99.0, "good"),
        ("time", 99.0, 90.0, "bad"),
        ("time", 100.0, 100.5, ""),
        ("time", None, 100.0, ""),
        ("success", 99.0, 0.0, ""),
        ("cost", 9.0, 1.0, ""),
    ],
)
def test_a_change_is_good_or_bad_only_where_it_is(key: str, now: float | None, before: float, mood: str) -> None:
    assert mood_of(BY_KEY[key], now, before) == mood
