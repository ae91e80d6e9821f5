"""The figures of the overview: cards with their trend, requests and cost over time, the models' shares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from codemie_core.admin.pages.format import dollars, points, trend
from codemie_core.admin.pages.layout import box, say, text
from codemie_core.admin.pages.naming import OTHERS_COLOR, color_of
from codemie_core.admin.pages.widgets import Chart, Kind, Line, Told, legend, shares
from codemie_core.amounts import several

if TYPE_CHECKING:
    from codemie_core.admin.analytics import Analytics
    from codemie_core.admin.series import TimePoint

MODELS = 5
"""Told apart by a color each; what is left is one more."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Figure:
    """A card: its number now, before, and over time. `better` is 1 when more is good, -1 when less is, else 0."""

    label: str
    kind: Kind
    now: Callable[[Analytics], float | None]
    before: Callable[[Analytics], float | None]
    over_time: Callable[[TimePoint], float | None]
    better: int = 0
    points: bool = False
    """Compared by difference: percents of percents say nothing."""
    color: str = "c1"


CARDS = (
    Figure("Requests", "count", lambda a: a.totals.requests, lambda a: a.previous.requests, lambda p: p.requests),
    Figure(
        "Success",
        "percent",
        lambda a: a.totals.success_rate if a.totals.requests else None,
        lambda a: a.previous.success_rate if a.previous.requests else None,
        lambda p: p.success_rate if p.requests else None,
        better=1,
        points=True,
        color="good",
    ),
    Figure(
        "Cost",
        "money",
        lambda a: a.totals.total_cost_usd,
        lambda a: a.previous.cost_usd,
        lambda p: p.cost_usd,
        color="c2",
    ),
    Figure(
        "Tokens",
        "tokens",
        lambda a: a.totals.total_tokens,
        lambda a: a.previous.total_tokens,
        lambda p: p.tokens,
        color="c3",
    ),
    Figure(
        "Output speed",
        "speed",
        lambda a: a.totals.avg_tokens_per_second,
        lambda a: a.previous.avg_tokens_per_second,
        lambda p: p.avg_tokens_per_second,
        better=1,
        color="c5",
    ),
)


class Cards:
    """A row of them."""

    def __init__(self) -> None:
        with box("cm-cards"):
            self._cards = [_Card(figure) for figure in CARDS]

    def show(self, found: Analytics) -> None:
        """What it is now."""
        for card in self._cards:
            card.show(found)


class _Card:
    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        with box("cm-card"):
            text(figure.label, "cm-card-label")
            self._trend = text("", "cm-card-trend")
            self._value = Told(figure.kind, classes="cm-card-value")
            self._spark = Chart(f"{figure.label} over time", bare=True, height=28, format=figure.kind)
            self._spark.classes("cm-card-spark")

    def show(self, found: Analytics) -> None:
        figure = self._figure
        now, before = figure.now(found), figure.before(found)
        self._value.show(now)
        words = points(now, before) if figure.points else trend(now, before)
        say(self._trend, words)
        self._trend.props["title"] = "beside the same length of time before" if words else ""
        rises = figure.better * ((now or 0) - (before or 0)) if words else 0
        mood = "cm-trend-good" if rises > 0 else "cm-trend-bad" if rises < 0 else ""
        self._trend.classes(replace=f"cm-card-trend {mood}")
        values = [figure.over_time(point) for point in found.time_series]
        self._spark.show([point.ts for point in found.time_series], [Line(figure.label, values, figure.color)])


class Volume:
    """Requests that went well and those that did not."""

    def __init__(self) -> None:
        self._chart = Chart("Requests over time, and how many of them failed", kind="bars", height=210)
        legend([Line("went well", ()), Line("failed", (), "bad")])

    def show(self, found: Analytics) -> None:
        """What it is now."""
        points = found.time_series
        failed = [round(point.requests * point.error_rate / 100) for point in points]
        well = [point.requests - bad for point, bad in zip(points, failed, strict=True)]
        lines = [Line("went well", well), Line("failed", failed, "bad")]
        self._chart.show([point.ts for point in points], lines, bucket_ms(points))


class Costs:
    """What each model cost."""

    def __init__(self) -> None:
        self._chart = Chart("Cost over time, by model", kind="stack", format="money", height=210)
        self._legend = box("")

    def show(self, overall: Analytics, by_model: Analytics) -> None:
        """What it is now: the same time, as a whole and by model."""
        moments = [point.ts for point in overall.time_series]
        names = [one.model for one in by_model.cost_by_model[:MODELS] if one.cost_usd]
        spent: defaultdict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for point in by_model.time_series:
            model = point.model or ""
            spent[model if model in names else OTHERS][point.ts] += point.cost_usd
        if any(spent[OTHERS].values()):
            names.append(OTHERS)
        lines = [
            Line(
                name or "unknown",
                [spent[name].get(ts, 0.0) for ts in moments],
                OTHERS_COLOR if name == OTHERS else color_of(name),
            )
            for name in names
        ]
        self._chart.show(moments, lines, bucket_ms(overall.time_series))
        self._legend.clear()
        with self._legend:
            legend(lines)


class Shares:
    """Which model took which part of the cost."""

    def __init__(self) -> None:
        self._room = box("cm-stack")

    def show(self, found: Analytics) -> None:
        """What it is now."""
        models = found.cost_by_model
        whole = sum(one.cost_usd for one in models)
        asked = sum(one.requests for one in models)
        parts = []
        for one in models[: MODELS + 1]:
            part = one.cost_usd / whole if whole else one.requests / asked
            parts.append((one.model or "unknown", part * 100, dollars(one.cost_usd), color_of(one.model)))
        self._room.clear()
        with self._room:
            if not parts:
                text("Nothing was asked in this time.", "cm-muted")
            shares(parts)
            if found.totals.unpriced:
                text(f"{several(found.totals.unpriced, 'request')} without a known price: in no sum.", "cm-note")


def bucket_ms(points: list[TimePoint]) -> int:
    """What one of them stands for."""
    return min((later.ts - one.ts for one, later in pairwise(points)), default=0)
