"""Agents: who works here, how much, at what cost; and how another one finds its way through this proxy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.agents import AgentUsage, agents
from codemie_core.admin.asked import RANGES, Asked, Range
from codemie_core.admin.pages.format import moment
from codemie_core.admin.pages.layout import View, box, empty, heading, panel, refreshing, text
from codemie_core.admin.pages.naming import RANGE_WORDS
from codemie_core.admin.pages.widgets import Chart, Choices, Kind, Line, Moment, Told
from codemie_core.admin.ways import ways_in
from codemie_core.store.breakdown import Breakdown
from codemie_core.store.buckets import edges

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

REFRESH = 10.0
LENGTHS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
FACTS: tuple[tuple[str, Kind, str], ...] = (
    ("Turns", "count", "requests"),
    ("Sessions", "count", "sessions"),
    ("Cost", "money", "cost_usd"),
    ("Tokens", "tokens", "total_tokens"),
    ("Success", "percent", "success_rate"),
    ("Cache hits", "percent", "cache_hit_rate"),
    ("Average turn", "ms", "avg_response_time"),
    ("Speed", "speed", "avg_tokens_per_second"),
)


class AgentCards:
    """One per viewer."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        query = ui.context.client.request.query_params.get("range", "")
        self._range = query if query in LENGTHS else "7d"
        self._cards: dict[str, _Card] = {}

    async def build(self) -> None:
        """Lay it out."""
        with heading("Agents"):
            Choices("Range of time", {key: RANGE_WORDS[key] for key in LENGTHS}, self._range, self._ranged)
        self._none = box("cm-panel")
        self._none.set_visibility(False)
        self._all = box("cm-agents")
        _connect(self._plane)
        self._look = await refreshing(REFRESH, self._show)

    async def _ranged(self, key: str) -> None:
        self._range = key
        ui.navigate.history.replace(f"/agents?range={key}" if key != "7d" else "/agents")
        await self._look()

    async def _show(self) -> None:
        chosen: Range = self._range  # type: ignore[assignment]  # one of LENGTHS
        asked = Asked(chosen)
        found = (await agents(self._plane, asked)).agents
        moments, turns = await self._over_time(asked)
        if [one.id for one in found] != list(self._cards):
            self._all.clear()
            with self._all:
                self._cards = {one.id: _Card(one, self._range) for one in found}
        for one in found:
            self._cards[one.id].show(one, moments, [turns.get((at, one.id), 0) for at in moments])
        self._all.set_visibility(bool(found))
        self._none.set_visibility(not found)
        if not found:
            self._none.clear()
            with self._none:
                words = f"Nobody has worked through this proxy in the last {LENGTHS[self._range]}."
                empty("No agent was seen", f"{words} Send one here as it says below, and it shows up.")

    async def _over_time(self, asked: Asked) -> tuple[list[int], Mapping[tuple[int, str], int]]:
        now = round(self._plane.clock() * 1000)
        length, size, _ = RANGES[self._range]
        marks = edges(size, now - length, now + 1)
        wanted = asked.filter(now)
        found = await self._plane.read(
            lambda connection: Breakdown(connection, wanted, ("agent",), marks).by_time_and_name("agent")
        )
        return [at for at, _ in pairwise(marks)], {key: one.figures.requests for key, one in found.items()}


class _Card:
    def __init__(self, one: AgentUsage, chosen: str) -> None:
        with panel(classes="cm-agent"):
            with box("cm-row"):
                text(one.name, tag="h2")
                text(one.id, "cm-faint cm-mono", "span")
                box("cm-grow")
                self._used = Moment(None, "ago", classes="cm-muted")
            self._chart = Chart(f"Turns of {one.name} over time", kind="bars", bare=True, height=44)
            self._facts = {}
            with box("cm-facts", "dl"):
                for label, kind, field in FACTS:
                    with box("cm-fact"):
                        text(label, "cm-faint", "dt")
                        with box("cm-strong", "dd"):
                            self._facts[field] = Told(kind)
            self._names = box("cm-pairs")
            with box("cm-row"):
                links = (
                    ("Sessions", f"/sessions?range={chosen}&agent={one.id}"),
                    ("Analytics", f"/analytics?range={chosen}&agents={one.id}"),
                )
                for label, target in links:
                    text(label, "cm-button small", "a").props["href"] = target

    def show(self, one: AgentUsage, moments: list[int], turns: list[int]) -> None:
        self._used.show(moment(one.last_used))
        self._chart.show(moments, [Line("Turns", turns, "c1")])
        for _, _, field in FACTS:
            self._facts[field].show(getattr(one, field))
        self._names.clear()
        with self._names:
            for label, names in (("Models", one.models), ("Accounts", one.accounts), ("Projects", one.projects)):
                if names:
                    text(label)
                    with box("cm-row"):
                        for name in names[:6]:
                            text(name, "cm-tag", "span")
                        if len(names) > 6:
                            text(f"and {len(names) - 6} more", "cm-faint", "span")


def _connect(plane: Plane) -> None:
    with panel("Send an agent here"):
        text("Set this where the agent starts, in its shell or its settings.", "cm-muted")
        with box("cm-ways"):
            for way in ways_in(plane):
                with box("cm-stack"):
                    text(way.agents, tag="h3")
                    text("\n".join(way.lines), "cm-code", "code")


async def build(plane: Plane) -> None:
    """The page."""
    await AgentCards(plane).build()


VIEWS = (View("/agents", "agents", "Agents", build),)
