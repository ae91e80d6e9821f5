"""The parts of the analytics page: figures with their trend, tokens by kind, who used how much, and each model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.asked import NO_ACCOUNT
from codemie_core.admin.pages.figures_over_time import FIGURES, mood_of
from codemie_core.admin.pages.format import trend
from codemie_core.admin.pages.layout import box, panel, say, text
from codemie_core.admin.pages.naming import agent_title, color_of
from codemie_core.admin.pages.widgets import Choices, Column, Row, Table, Told

if TYPE_CHECKING:
    from codemie_core.admin.analytics import Analytics, TokenBreakdown

PREVIOUS = {"total_cost_usd": "cost_usd"}
"""Where the figures of the time before have another name."""
KINDS_OF_TOKENS = (
    ("cache_read_input_tokens", "Read from the cache", "c1"),
    ("cache_creation_input_tokens", "Written to the cache", "c2"),
    ("input_tokens", "Fresh input", "c3"),
    ("output_tokens", "Output", "c4"),
)
USED_BY = {"agents": "Agents", "accounts": "Accounts", "projects": "Projects", "keys": "Client keys"}


class Figures:
    """A card for each figure; the chosen one is drawn over time."""

    def __init__(self, chosen: str, changed: Callable[[str], object]) -> None:
        self._cards: dict[str, ui.element] = {}
        self._values: dict[str, Told] = {}
        self._trends: dict[str, ui.element] = {}
        with box("cm-cards cm-metrics").props('role="group" aria-label="Figure to draw"'):
            for figure in FIGURES:
                pressed = str(figure.key == chosen).lower()
                with box("cm-card cm-metric", "button").props(f'type="button" aria-pressed="{pressed}"') as card:
                    text(figure.label, "cm-card-label", "span")
                    self._trends[figure.key] = text("", "cm-card-trend", "span")
                    self._values[figure.key] = Told(figure.kind, None, "cm-card-value")
                card.on("click", lambda _, key=figure.key: changed(key), [])
                self._cards[figure.key] = card

    def show(self, found: Analytics, chosen: str) -> None:
        """Of the whole range, and how that differs from the one before."""
        for figure in FIGURES:
            now = getattr(found.totals, figure.total)
            before = getattr(found.previous, PREVIOUS.get(figure.total, figure.total))
            self._values[figure.key].show(now)
            words, mood = trend(now, before), mood_of(figure, now, before)
            mark = self._trends[figure.key]
            say(mark, words)
            mark.classes(replace=f"cm-card-trend {'cm-trend-' + mood if mood else ''}")
            mark.props["title"] = "against the same length of time before" if words else ""
            self._cards[figure.key].props(f'aria-pressed="{str(figure.key == chosen).lower()}"')


class Tokens:
    """Of which kind they were."""

    def __init__(self, classes: str) -> None:
        with panel("Tokens by kind", classes=classes):
            self._bar = box("cm-parts").props('aria-hidden="true"')
            self._list = box("cm-parts-list", "dl")

    def show(self, found: TokenBreakdown) -> None:
        """These."""
        parts = [(label, getattr(found, name), color) for name, label, color in KINDS_OF_TOKENS]
        whole = sum(count for _, count, _ in parts) or 1
        self._bar.clear()
        self._list.clear()
        for label, count, color in parts:
            share = 100 * count / whole
            with self._bar:
                box("").style(f"width: {share:.2f}%; background: var(--{color})")
            with self._list:
                with box("", "dt"):
                    ui.element("i").style(f"background: var(--{color})")
                    text(label, tag="span")
                with box("cm-strong", "dd"):
                    Told("tokens", count)
                with box("cm-faint", "dd"):
                    Told("percent", share if count else None)


class Breakdown:
    """Whose turns they were."""

    _COLUMNS = (
        Column("name", "Name"),
        Column("requests", "Requests", "count"),
        Column("share", "Share of cost", "bar", wide=True),
        Column("cost", "Cost", "money"),
        Column("tokens", "Tokens", "tokens"),
        Column("success", "Success", "percent"),
    )

    def __init__(self, classes: str) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._chosen = "agents"
        with panel(classes=f"cm-flush {classes}"):
            with box("cm-panel-head"):
                text("Used by", tag="h2")
                box("cm-grow")
                Choices("Used by", USED_BY, self._chosen, self._choose)
            self._table = Table("Used by", self._COLUMNS, sort="cost", down=True, absent="Nobody")

    def show(self, found: Analytics) -> None:
        """Of the range."""
        keys = found.api_key_performance
        self._rows = {
            "agents": [_used(agent_title(one.name), one) for one in found.agent_performance],
            "projects": [_used(one.name or "no project", one) for one in found.project_performance],
            "keys": [_used(one.name or "without a key", one) for one in keys],
            "accounts": [
                _used("no account" if one.name == NO_ACCOUNT else one.name, one) for one in found.account_performance
            ],
        }
        self._choose(self._chosen)

    def _choose(self, key: str) -> None:
        self._chosen = key
        rows = self._rows.get(key, [])
        whole = sum(row["cost"] for row in rows)
        self._table.show([{**row, "share": _share(row["cost"], whole)} for row in rows])


class Models:
    """Each model: how much, how fast, how well."""

    _COLUMNS = (
        Column("name", "Model"),
        Column("requests", "Requests", "count"),
        Column("share", "Share", "bar", wide=True),
        Column("tokens", "Tokens", "tokens"),
        Column("cost", "Cost", "money"),
        Column("average", "Average", "ms"),
        Column("p95", "p95", "ms"),
        Column("first", "First token p95", "ms", wide=True),
        Column("errors", "Failed", "percent"),
        Column("speed", "Speed", "speed"),
        Column("slowest", "Slowest", "speed", wide=True),
        Column("fastest", "Fastest", "speed", wide=True),
    )

    def __init__(self) -> None:
        with panel("Models", classes="cm-flush"):
            self._table = Table("Models", self._COLUMNS, sort="requests", down=True)

    def show(self, found: Analytics) -> None:
        """Of the range."""
        costs = {one.model: one for one in found.cost_by_model}
        whole = sum(one.requests for one in found.cost_by_model)
        self._table.show(
            {
                "id": one.model or "unknown",
                "name": one.model or "unknown",
                "requests": costs[one.model].requests,
                "share": _share(costs[one.model].requests, whole, color_of(one.model)),
                "tokens": costs[one.model].total_tokens,
                "cost": costs[one.model].cost_usd,
                "average": one.avg_response_time,
                "p95": one.p95_response_time,
                "first": one.p95_first_token,
                "errors": one.error_rate,
                "speed": one.avg_tokens_per_second,
                "slowest": one.min_tokens_per_second,
                "fastest": one.max_tokens_per_second,
            }
            for one in found.model_performance
        )


def _used(name: str, one: object) -> Row:
    told = {name: getattr(one, name) for name in ("requests", "cost_usd", "total_tokens", "success_rate")}
    return {
        "id": name,
        "name": name,
        "requests": told["requests"],
        "cost": told["cost_usd"],
        "tokens": told["total_tokens"],
        "success": told["success_rate"],
    }


def _share(part: float, whole: float, color: str = "") -> list[object]:
    percent = 100 * part / whole if whole else 0.0
    return [percent, f"{percent:.0f}%" if percent >= 1 or not percent else "<1%", f"in-{color}" if color else ""]
