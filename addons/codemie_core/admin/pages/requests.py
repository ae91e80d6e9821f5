"""Requests: those under way and those that were kept, the newest first, narrowed down as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from nicegui import ui

from codemie_core.admin.analytics import choices
from codemie_core.admin.asked import Asked, Outcome
from codemie_core.admin.pages.layout import View, box, button, empty, heading, panel, refreshing
from codemie_core.admin.pages.live_rows import LiveRows
from codemie_core.admin.pages.naming import RANGE_WORDS, agent_title
from codemie_core.admin.pages.request_table import LIST, row_of
from codemie_core.admin.pages.widgets import Choices, Table
from codemie_core.admin.requests import requests

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

PAGE = 100
KEPT = 1000
"""Rows in the browser."""
OUTCOMES: Mapping[str, str] = {"all": "All", "success": "Good", "error": "Failed"}
RANGES: Mapping[str, str] = {"": "Any time", **RANGE_WORDS}
NAMES = {"accounts": "Account", "agents": "Agent", "models": "Model", "projects": "Project"}


async def build(plane: Plane) -> None:
    """The page. A link may say what to narrow it down to: ?status=error&account=NAME."""
    page = _Page(plane)
    with heading("Requests"):
        page.live = LiveRows(plane, lambda: page.asked, lambda rows: page.table.upsert(rows))
    with box("cm-row cm-filters").props('role="search" aria-label="Narrow the list down"'):
        page.build_filters()
    with panel(classes="cm-flush"):
        page.table = Table("Requests, the newest first", LIST, most=KEPT)
        page.nothing = box("")
        with box("cm-row cm-more"):
            page.more = button("Show older ones", page.show_older)
    await refreshing(3600.0, page.show)
    page.live.begin()


class _Page:
    """The list, and what it is narrowed down to."""

    table: Table
    live: LiveRows
    nothing: ui.element
    more: ui.element
    _names: ui.element

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._cursor = ""
        self._named = False
        query = ui.context.client.request.query_params
        status = query.get("status", "all")
        self.asked = Asked(status=cast(Outcome, status) if status in OUTCOMES else "all")
        named = {what: (value,) for what in NAMES if (value := query.get(what.removesuffix("s"), ""))}
        self.asked = replace(self.asked, **named)  # type: ignore[arg-type]  # names of its own tuples

    def build_filters(self) -> None:
        """What the list can be narrowed down to."""
        Choices("Outcome", OUTCOMES, self.asked.status, lambda key: self._narrow(status=key))
        Choices("Time", RANGES, self.asked.range, lambda key: self._narrow(range=key))
        self._names = box("cm-row")

    async def _fill_names(self) -> None:
        """Names that the history knows; asked once."""
        self._named = True
        known = await choices(self._plane)
        for what, label in NAMES.items():
            value = next(iter(getattr(self.asked, what)), "")
            names = [name for name in dict.fromkeys((*getattr(known, what), value)) if name]
            if not names:
                continue
            options = {"": f"Any {label.lower()}"} | {
                name: agent_title(name) if what == "agents" else name for name in names
            }
            with self._names:
                select = ui.select(
                    options, value=value, on_change=lambda event, what=what: self._take(what, event.value)
                )
            select.props(f'dense outlined options-dense aria-label="{label}"').classes("cm-filter")

    async def show(self) -> None:
        """From the newest on."""
        if not self._named:
            await self._fill_names()
        found = await requests(self._plane, self.asked, PAGE)
        self._cursor = found.next_cursor or ""
        self.table.show([*self.live.open_rows(), *(row_of(each) for each in found.items)])
        self.more.set_visibility(bool(self._cursor))
        self.nothing.clear()
        if not found.items:
            with self.nothing:
                self._say_nothing()

    async def show_older(self) -> None:
        """The next ones."""
        found = await requests(self._plane, self.asked, PAGE, self._cursor)
        self._cursor = found.next_cursor or ""
        self.table.append([row_of(each) for each in found.items])
        self.more.set_visibility(bool(self._cursor))

    def _say_nothing(self) -> None:
        if self.asked == Asked():
            empty(
                "No requests yet",
                "Start an agent through this proxy: its requests appear here the moment they begin.",
                "codemie-proxy status",
            )
        else:
            empty("None of this kind", "Nothing that was kept matches; take a longer time or fewer conditions.")

    async def _take(self, what: str, value: str) -> None:
        await self._narrow(**{what: (value,) if value else ()})

    async def _narrow(self, **fields: object) -> None:
        self.asked = replace(self.asked, **fields)  # type: ignore[arg-type]  # names of its own fields
        await self.show()


VIEWS = (View("/requests", "requests", "Requests", build),)
