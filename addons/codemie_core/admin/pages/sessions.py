"""Sessions: pieces of work, the one used last first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.analytics import choices
from codemie_core.admin.asked import RANGES, Asked, Range
from codemie_core.admin.pages import session_detail
from codemie_core.admin.pages.format import dollars, moment, several
from codemie_core.admin.pages.layout import View, box, button, empty, heading, panel, refreshing, say, text
from codemie_core.admin.pages.naming import RANGE_WORDS, agent_title
from codemie_core.admin.pages.widgets import Choices, Column, Row, Table
from codemie_core.admin.recent_exchanges import open_ones
from codemie_core.admin.sessions import SessionSummary, sessions
from codemie_core.admin.ways import first_way

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

REFRESH = 5.0
PAGE = 50
EVER = "ever"
LENGTHS = ("24h", "7d", "30d", EVER)
COLUMNS = (
    Column("name", "Session"),
    Column("branch", "Branch"),
    Column("agent", "Agent"),
    Column("model", "Model", wide=True),
    Column("used", "Last turn", "ago"),
    Column("took", "Lasted", "ms", wide=True),
    Column("turns", "Turns", "count"),
    Column("tokens", "Tokens", "tokens", wide=True),
    Column("cached", "Cached", "percent", wide=True),
    Column("cost", "Cost", "money"),
    Column("state", "State", "badge"),
)


class SessionList:
    """One per viewer."""

    def __init__(self, plane: Plane) -> None:
        query = ui.context.client.request.query_params
        self._plane = plane
        self._range = query.get("range", "7d") if query.get("range") in LENGTHS else "7d"
        self._agent, self._project = query.get("agent", ""), query.get("project", "")
        self._pages = 1

    async def build(self) -> None:
        """Lay it out."""
        with heading("Sessions"):
            self._sum = text("", "cm-muted cm-wide")
            Choices("Time", {key: RANGE_WORDS.get(key, "All") for key in LENGTHS}, self._range, self._ranged)
        with box("cm-row cm-filters").props('role="search" aria-label="Narrow the list down"'):
            self._agents = self._select("agent", self._agent)
            self._projects = self._select("project", self._project)
        with panel(classes="cm-flush") as self._full:
            self._table = Table("Sessions", COLUMNS)
            with box("cm-row cm-more") as self._more:
                button("Show older ones", self._older)
        with box("cm-panel") as self._none:
            pass
        self._none.set_visibility(False)
        self._look = await refreshing(REFRESH, self._show)

    def _select(self, what: str, value: str) -> ui.select:
        select = ui.select({"": f"Any {what}", **({value: value} if value else {})}, value=value)
        select.props(f'dense outlined options-dense aria-label="{what.capitalize()}"').classes("cm-filter")
        select.on_value_change(self._narrowed)
        return select

    async def _ranged(self, key: str) -> None:
        self._range = key
        await self._anew()

    async def _narrowed(self) -> None:
        if (self._agents.value, self._projects.value) != (self._agent, self._project):
            self._agent, self._project = str(self._agents.value or ""), str(self._projects.value or "")
            await self._anew()

    async def _anew(self) -> None:
        self._pages = 1
        told = {"range": self._range if self._range != "7d" else "", "agent": self._agent, "project": self._project}
        query = "&".join(f"{name}={value}" for name, value in told.items() if value)
        ui.navigate.history.replace(f"/sessions{'?' + query if query else ''}")
        await self._look()

    async def _older(self) -> None:
        self._pages += 1
        await self._look()

    async def _show(self) -> None:
        chosen: Range | str = "" if self._range == EVER else self._range
        asked = Asked(
            chosen if chosen in RANGES else "",  # type: ignore[arg-type]  # one of RANGES
            agents=(self._agent,) if self._agent else (),
            projects=(self._project,) if self._project else (),
        )
        page = await sessions(self._plane, asked, limit=PAGE * self._pages)
        known = await choices(self._plane)
        agents = {"": "Any agent", **{name: agent_title(name) for name in known.agents}}
        _offer(self._agents, agents, self._agent)
        _offer(self._projects, {"": "Any project", **{name: name for name in known.projects}}, self._project)
        running = {exchange.session_id for exchange in open_ones(self._plane)}
        self._table.show([_row(one, one.id in running) for one in page.items])
        self._more.set_visibility(page.next_cursor is not None)
        self._full.set_visibility(bool(page.items))
        self._nothing(not page.items, bool(known.agents))
        cost = sum(one.cost_usd for one in page.items)
        more = "more than " if page.next_cursor else ""
        words = f"{more}{several(len(page.items), 'session')}, {dollars(cost)}" if page.items else ""
        say(self._sum, words)

    def _nothing(self, is_so: bool, any_at_all: bool) -> None:
        self._none.set_visibility(is_so)
        if not is_so:
            return
        self._none.clear()
        with self._none:
            if any_at_all:
                empty(
                    "No session here", "In this time there was none of this agent in this project. Look further back."
                )
            else:
                words = "What an agent does through this proxy shows up here, with its turns and what they cost."
                empty("No session yet", f"{words} Send one here:", first_way(self._plane))


def _offer(select: ui.select, names: dict[str, str], chosen: str) -> None:
    options = names if chosen in names else {**names, chosen: chosen}
    if options != select.options:
        select.set_options(options)


def _row(one: SessionSummary, running: bool) -> Row:
    failed = round(one.requests * one.error_rate / 100)
    state = ["live", "live"] if running else [f"{failed} failed", "bad"] if failed else ["good", "good"]
    return {
        "id": one.id,
        "href": f"/sessions/{one.id}",
        "name": one.project or one.repository or f"Session {one.id[:8]}",
        "branch": "several" if "branch" in one.several else one.branch,
        "agent": agent_title(one.agent),
        "model": "several" if "model" in one.several else plain_model(one.model),
        "used": moment(one.last_used),
        "took": one.duration_ms,
        "turns": one.requests,
        "tokens": one.total_tokens,
        "cached": one.cache_hit_rate,
        "cost": one.cost_usd,
        "state": state,
    }


def plain_model(name: str | None) -> str | None:
    """Without the day it was made on."""
    return name and re.sub(r"-20\d{6}$", "", name)


async def build(plane: Plane) -> None:
    """The list."""
    await SessionList(plane).build()


VIEWS = (
    View("/sessions", "sessions", "Sessions", build),
    View("/sessions/{session_id}", "sessions", "Session", session_detail.build),
)
