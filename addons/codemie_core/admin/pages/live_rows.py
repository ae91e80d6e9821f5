"""Requests under way, row by row, from the hub into a table of the page: a few times a second, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.live_events import LiveRequest
from codemie_core.admin.pages.layout import badge, button, say
from codemie_core.admin.pages.request_table import row_of_live
from codemie_core.admin.pages.widgets import Row
from codemie_core.admin.problems import AdminProblem

if TYPE_CHECKING:
    from codemie_core.admin.asked import Asked
    from codemie_core.admin.broadcast import Subscription
    from codemie_core.admin.live_events import LiveEvent
    from codemie_core.admin.plane import Plane

PACE = 0.5
"""Seconds between two looks at what has come."""


class LiveRows:
    """`asked` says what the table is narrowed down to; `upsert` puts rows into it. Stops while nobody looks."""

    def __init__(self, plane: Plane, asked: Callable[[], Asked], upsert: Callable[[Sequence[Row]], None]) -> None:
        self._plane, self._asked, self._upsert = plane, asked, upsert
        self._events: Subscription[LiveEvent] | None = None
        self._open: dict[str, LiveRequest] = {}
        self._badge = badge("live", "live")
        self._stopped = self._away = False
        self._switch = button("Pause", self._toggle, "small")

    def begin(self) -> None:
        """From now on, as long as the page is open."""
        client = ui.context.client
        client.on_connect(self._come)
        client.on_disconnect(self._go)
        ui.timer(PACE, self._look)

    def open_rows(self) -> list[Row]:
        """Those under way that the list is narrowed down to, the newest first."""
        return [row_of_live(told) for told in reversed(self._open.values()) if self._fits(told)]

    async def _look(self) -> None:
        if self._stopped or self._away:
            return
        if self._events is None:
            try:
                self._events = self._plane.hub.subscribe()
            except AdminProblem as problem:
                self._show(problem.detail, "warn")
                self._stopped = True
                return
        events = self._events
        heard = await events.take(0)
        if events is not self._events:
            return  # Somebody paused it meanwhile.
        if heard is None:
            # It lagged behind, while the machine was busy: it begins anew with what is open.
            self._events = None
            self._open.clear()
            return
        newest = {event.request.id: event.request for event in heard}
        for told in newest.values():
            if told.terminal:
                self._open.pop(told.id, None)
            else:
                self._open[told.id] = told
        self._upsert([row_of_live(told) for told in newest.values() if self._fits(told)])
        self._show(f"live · {len(self._open)} open" if self._open else "live", "live")

    def _fits(self, told: LiveRequest) -> bool:
        asked = self._asked()
        named = (
            (asked.accounts, told.account),
            (asked.agents, told.agent),
            (asked.models, told.model),
            (asked.projects, told.project),
        )
        if any(names and value not in names for names, value in named):
            return False
        return asked.status == "all" or bool(told.terminal and told.ok == (asked.status == "success"))

    def _toggle(self) -> None:
        self._stopped = not self._stopped
        say(self._switch, "Go on" if self._stopped else "Pause")
        self._show("paused" if self._stopped else "live", "" if self._stopped else "live")
        if self._stopped:
            self._leave()

    def _show(self, words: str, mood: str) -> None:
        say(self._badge, words)
        self._badge.classes(replace=f"cm-badge {mood}")

    def _come(self) -> None:
        self._away = False

    def _go(self) -> None:
        self._away = True
        self._leave()

    def _leave(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
            self._open.clear()
