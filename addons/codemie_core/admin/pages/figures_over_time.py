"""What the chart of the analytics shows: which figure, told how, as which lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from codemie_core.admin.pages.naming import OTHERS_COLOR, color_of
from codemie_core.admin.pages.widgets import Kind, Line

if TYPE_CHECKING:
    from codemie_core.admin.series import TimePoint

OTHERS = "all others"
LINES = 6
"""Models with a line of their own; the others share one."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that can be looked at over time. `field` is that of a point, `total` that of all together.

    `sums`: the parts of a bucket make a whole, so they are stacked, and may be added up over time.
    """

    key: str
    label: str
    kind: Kind
    field: str
    total: str
    sums: bool = False
    better: Literal["", "more", "less"] = ""
    ceiling: float = 0


FIGURES = (
    Figure("requests", "Requests", "count", "requests", "requests", sums=True),
    Figure("cost", "Cost", "money", "cost_usd", "total_cost_usd", sums=True),
    Figure("tokens", "Tokens", "tokens", "tokens", "total_tokens", sums=True),
    Figure("success", "Success", "percent", "success_rate", "success_rate", better="more", ceiling=100),
    Figure("time", "Response", "ms", "avg_response_time", "avg_response_time", better="less"),
    Figure("speed", "Speed", "speed", "avg_tokens_per_second", "avg_tokens_per_second", better="more"),
    Figure("cache", "Cache hits", "percent", "cache_hit_rate", "cache_hit_rate", better="more", ceiling=100),
)
BY_KEY = {figure.key: figure for figure in FIGURES}


def lines_of(
    figure: Figure, points: Iterable[TimePoint], moments: Sequence[int], models: Sequence[str], *, summed: bool = False
) -> list[Line]:
    """One line for each model where the points tell of models, else one. Of a bucket without requests only sums are 0.

    The first ones of `models` have lines of their own; `summed` says that values hold all that came before.
    """
    known: dict[str, dict[int, float | None]] = {}
    several = False
    for point in points:
        several = several or point.model is not None
        name = "" if point.model is None else _shown(point.model, models)
        values = known.setdefault(name, {})
        value: float | None = getattr(point, figure.field) if point.requests or figure.sums else None
        if name == OTHERS and figure.sums:
            value = (value or 0) + (values.get(point.ts) or 0)
        values[point.ts] = value
    if summed and figure.sums and OTHERS in known:
        known[OTHERS] = _summed_apart(figure, points, moments, models)
    if not several:
        return [Line(figure.label, _filled(known.get("", {}), moments, figure.sums, summed), "c1")]
    names = [name for name in (*models[:LINES], OTHERS) if name in known]
    return [
        Line(
            name or "unknown",
            _filled(known[name], moments, figure.sums, summed),
            OTHERS_COLOR if name == OTHERS else color_of(name),
        )
        for name in names
        # An average of averages says nothing.
        if name != OTHERS or figure.sums
    ]


def _shown(model: str, models: Sequence[str]) -> str:
    return model if model in models[:LINES] else OTHERS


def _summed_apart(
    figure: Figure, points: Iterable[TimePoint], moments: Sequence[int], models: Sequence[str]
) -> dict[int, float | None]:
    """Of models that share a line: each goes on at its height where it has no point."""
    apart: dict[str, dict[int, float | None]] = {}
    for point in points:
        if _shown(point.model or "", models) == OTHERS:
            apart.setdefault(point.model or "", {})[point.ts] = getattr(point, figure.field)
    filled = [_filled(values, moments, True, True) for values in apart.values()]
    return {at: sum(line[place] or 0 for line in filled) for place, at in enumerate(moments)}


def _filled(values: dict[int, float | None], moments: Sequence[int], sums: bool, summed: bool) -> list[float | None]:
    found: list[float | None] = []
    for at in moments:
        if at in values:
            found.append(values[at])
        elif sums:
            found.append(found[-1] if summed and found else 0)
        else:
            found.append(None)
    return found


def mood_of(figure: Figure, now: float | None, before: float | None) -> str:
    """Is the change good? "" where it is neither, or hardly any."""
    if not figure.better or not now or not before or abs(now - before) < before / 100:
        return ""
    return "good" if (now > before) == (figure.better == "more") else "bad"
