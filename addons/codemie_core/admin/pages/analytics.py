"""Analytics: how much, how fast, how well, at what cost, over time and by model, account, agent, project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import unquote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nicegui import ui

from codemie_core.admin.analytics import Analytics, analytics, choices
from codemie_core.admin.asked import NO_ACCOUNT, RANGES, Asked, Outcome, Range
from codemie_core.admin.pages.analytics_parts import Breakdown, Figures, Models, Tokens
from codemie_core.admin.pages.figures_over_time import BY_KEY, DAY_MS, Figure, lines_of
from codemie_core.admin.pages.layout import View, box, button, empty, heading, panel, refreshing, say, text
from codemie_core.admin.pages.naming import RANGE_WORDS, agent_title
from codemie_core.admin.pages.widgets import Chart, Choices, legend
from codemie_core.admin.ways import first_way
from codemie_core.store.buckets import edges

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane
    from codemie_core.admin.series import Mode

REFRESH = 30.0
LENGTHS = {"1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
ZONE = "codemie-zone"
"""A cookie with the viewer's time zone: days begin at midnight there. (A page cannot wait for what a script says: that
takes a task that begins later, and mitmproxy's begin at once.)"""
TELL_ZONE = f"""document.cookie = "{ZONE}=" + encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)
  + "; path=/; max-age=31536000; samesite=strict";"""
BUCKETS = {"1m": ("minute", 60_000), "5m": ("5 minutes", 300_000), "1h": ("hour", 3_600_000), "1d": ("day", DAY_MS)}
KINDS = {"models": "Models", "accounts": "Accounts", "agents": "Agents", "projects": "Projects"}


@dataclass(slots=True)
class Question:
    """What somebody looks at; all of it is in the page's address."""

    range: str = "24h"
    figure: str = "requests"
    status: str = "all"
    by_model: bool = True
    summed: bool = False
    names: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Question:
        """As an address says it; what it says wrong is as if it were not there."""
        asked = cls()
        if query.get("range") in RANGES:
            asked.range = query["range"]
        if query.get("figure") in BY_KEY:
            asked.figure = query["figure"]
        if query.get("status") in get_args(Outcome.__value__):
            asked.status = query["status"]
        asked.by_model = query.get("split") != "no"
        asked.summed = query.get("sum") == "yes"
        for kind in KINDS:
            asked.names[kind] = [name for name in query.get(kind, "").split(",") if name]
        return asked

    @property
    def query(self) -> str:
        """For an address: what is not as it is at first."""
        plain = Question()
        told = {name: str(getattr(self, name)) for name in ("range", "figure", "status")}
        told = {name: value for name, value in told.items() if value != getattr(plain, name)}
        told |= {} if self.by_model else {"split": "no"}
        told |= {"sum": "yes"} if self.summed else {}
        told |= {kind: ",".join(names) for kind, names in self.names.items() if names}
        return f"?{urlencode(told)}" if told else ""

    @property
    def narrowed(self) -> bool:
        """Does it leave any turns of its time out?"""
        return self.status != "all" or any(self.names.values())

    @property
    def asked(self) -> Asked:
        """For the history."""
        length: Range = self.range  # type: ignore[assignment]  # one of RANGES, see `of`
        status: Outcome = self.status  # type: ignore[assignment]  # the same
        models, accounts, agents, projects = (tuple(self.names[kind]) for kind in KINDS)
        return Asked(length, status=status, models=models, accounts=accounts, agents=agents, projects=projects)


class AnalyticsPage:
    """One per viewer."""

    def __init__(self, plane: Plane, question: Question) -> None:
        self._plane, self._question = plane, question
        self._zone = _zone(ui.context.client.request.cookies.get(ZONE, ""))

    async def build(self) -> None:
        """Lay it out, and fill it as soon as the figures are there."""
        ui.add_head_html(f"<script>{TELL_ZONE}</script>")
        question = self._question
        with heading("Analytics"):
            Choices("Range of time", RANGE_WORDS, question.range, lambda key: self._change("range", key))
        self._filters()
        self._none = box("cm-panel")
        self._none.set_visibility(False)
        self._all = box("cm-stack cm-analytics")
        with self._all:
            self._figures = Figures(question.figure, lambda key: self._change("figure", key))
            with panel() as self._chart_panel, box("cm-panel-head"):
                self._title = text("", tag="h2")
                self._sub = text("", "cm-note")
                box("cm-grow")
                self._switch("By model", "by_model")
                self._switch("Summed up", "summed")
            with self._chart_panel:
                self._chart = box("cm-stack")
            with box("cm-grid"):
                self._tokens = Tokens("cm-span-4")
                self._breakdown = Breakdown("cm-span-8")
            self._models = Models()
        self._look = await refreshing(REFRESH, self._show)

    def _filters(self) -> None:
        question = self._question
        with box("cm-row cm-filters").props('role="search" aria-label="Narrow the figures down"'):
            self._selects = {kind: self._select(kind, label) for kind, label in KINDS.items()}
            outcomes = {"all": "All", "success": "Successful", "error": "Failed"}
            self._status = Choices("Outcome", outcomes, question.status, lambda key: self._change("status", key))
            self._clear = button("Clear filters", self._cleared, "quiet")
            self._clear.set_visibility(question.narrowed)

    def _select(self, kind: str, label: str) -> ui.select:
        chosen = self._question.names[kind]

        async def changed() -> None:
            await self._change(kind, list(select.value or []))

        select = ui.select(_options(kind, chosen), multiple=True, value=list(chosen), on_change=changed)
        select.props(f'dense outlined options-dense aria-label="{label}"').classes("cm-filter")
        _told(select, kind)
        return select

    def _switch(self, label: str, name: str) -> None:
        async def changed() -> None:
            await self._change(name, switch.value)

        switch = ui.switch(label, value=getattr(self._question, name), on_change=changed).props("dense size=xs")

    async def _change(self, name: str, value: object) -> None:
        question = self._question
        if name in KINDS:
            question.names[name] = value  # type: ignore[assignment]  # a list of names, from the select
            _told(self._selects[name], name)
        else:
            setattr(question, name, value)
        self._clear.set_visibility(question.narrowed)
        ui.navigate.history.replace(f"/analytics{question.query}")
        await self._look()

    async def _cleared(self) -> None:
        for select in self._selects.values():
            select.set_value([])
        if self._question.status != "all":
            self._status.take("all")

    async def _show(self) -> None:
        question = self._question
        mode: Mode = "cumulative" if question.summed else "normal"
        found = await analytics(self._plane, question.asked, mode, question.by_model, self._zone)
        known = await choices(self._plane)
        for kind, select in self._selects.items():
            names = [*getattr(known, kind), *([NO_ACCOUNT] if kind == "accounts" else [])]
            options = _options(kind, [*names, *question.names[kind]])
            if options != select.options:
                select.set_options(options)
        self._nothing(found.totals.requests == 0, any_at_all=bool(known.models or known.agents))
        if found.totals.requests:
            self._fill(found)

    def _nothing(self, is_so: bool, any_at_all: bool) -> None:
        self._none.set_visibility(is_so)
        self._all.set_visibility(not is_so)
        if not is_so:
            return
        self._none.clear()
        length = LENGTHS[self._question.range]
        with self._none:
            if not any_at_all:
                words = "Every model turn that goes through this proxy is counted here. Send an agent through it:"
                empty("Nothing has been counted yet", words, first_way(self._plane))
            elif self._question.narrowed:
                empty("Nothing matches these filters", f"In the last {length} no turn has all of what you chose.")
                with box("cm-row cm-center"):
                    button("Clear filters", self._cleared)
            else:
                empty(f"Nothing in the last {length}", "Agents were quiet. Choose a longer range to look further back.")

    def _fill(self, found: Analytics) -> None:
        question = self._question
        figure = BY_KEY[question.figure]
        models = [one.model for one in sorted(found.model_distribution, key=lambda one: -one.count)]
        self._figures.show(found, question.figure)
        unit, bucket_ms = BUCKETS[found.meta.bucket]
        summed = question.summed and figure.sums
        say(self._title, figure.label)
        say(self._sub, f"{'summed up' if summed else 'each ' + unit}, last {LENGTHS[question.range]}")
        moments = self._moments(found)
        lines = lines_of(figure, found.time_series, moments, models, summed=summed)
        self._chart.clear()
        with self._chart:
            label = f"{figure.label}, last {LENGTHS[question.range]}"
            chart = Chart(
                label,
                kind=_kind(figure, len(lines), summed),
                format=figure.kind,
                height=260,
                ceiling=figure.ceiling,
            )
            chart.show(moments, lines, bucket_ms)
            if len(lines) > 1:
                legend(lines)
        self._tokens.show(found.token_breakdown)
        self._breakdown.show(found)
        self._models.show(found)

    def _moments(self, found: Analytics) -> list[int]:
        zone = ZoneInfo(self._zone) if self._zone else None
        return edges(RANGES[found.meta.range][1], found.meta.since, found.meta.until + 1, zone)[:-1]


def _kind(figure: Figure, lines: int, summed: bool) -> Literal["area", "line", "bars", "stack"]:
    if not figure.sums:
        return "line"
    if not summed:
        return "bars"
    return "stack" if lines > 1 else "area"


def _zone(cookie: str) -> str:
    """The name of a zone there is; "" for this machine's."""
    try:
        return ZoneInfo(unquote(cookie)).key if cookie else ""
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""


def _told(select: ui.select, kind: str) -> None:
    """Say what is chosen, in the room there is."""
    chosen = list(select.value or [])
    words = f"All {KINDS[kind].lower()}" if not chosen else f"{len(chosen)} {KINDS[kind].lower()}"
    select.props["display-value"] = _called(kind, chosen[0]) if len(chosen) == 1 else words
    select.classes(add="chosen") if chosen else select.classes(remove="chosen")


def _options(kind: str, names: Iterable[str]) -> dict[str, str]:
    return {name: _called(kind, name) for name in dict.fromkeys(names)}


def _called(kind: str, name: str) -> str:
    if kind == "agents":
        return agent_title(name)
    return "no account" if name == NO_ACCOUNT else name


async def build(plane: Plane) -> None:
    """The page."""
    await AnalyticsPage(plane, Question.of(ui.context.client.request.query_params)).build()


VIEWS = (View("/analytics", "analytics", "Analytics", build),)
