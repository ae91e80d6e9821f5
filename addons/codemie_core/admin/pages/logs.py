"""Logs: what the proxy says, as it says it; the last thousand lines are there at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nicegui import background_tasks, ui

from codemie_core.admin.broadcast import SLOW, TooMany
from codemie_core.admin.log_ring import ENTRIES
from codemie_core.admin.pages.layout import View, banner, heading, say, text

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

TOGETHER = 0.25
"""Seconds: lines that come close together go to the page together."""


class LogView(ui.element, component="components/log_view.js"):
    """The lines. Level, search and the viewer's zone are the browser's business."""

    def __init__(self) -> None:
        super().__init__()
        self.props(f":most={ENTRIES}")


async def build(plane: Plane) -> None:
    """The page."""
    with heading("Logs", "What the proxy says, newest last"):
        text("codemie-proxy logs -f", "cm-code cm-wide", "code")
    trouble = banner("", "warn")
    trouble.set_visibility(False)
    view = LogView()
    client = ui.context.client

    async def follow() -> None:
        try:
            while await _told(plane, view) == SLOW:
                pass
        except TooMany as problem:
            view.run_method("reset", plane.logs.history())
            say(trouble, f"These lines stand still: {problem.detail}")
            trouble.set_visibility(True)

    following: list[asyncio.Task[None]] = []

    def begin() -> None:
        end()
        following.append(background_tasks.create(follow(), name="log page"))

    def end() -> None:
        while following:
            following.pop().cancel()

    # While nobody looks nothing is told; a page that comes back gets all lines anew.
    client.on_connect(begin)
    client.on_disconnect(end)
    client.on_delete(end)


async def _told(plane: Plane, view: LogView) -> str:
    """Tell the page all lines, then each new one; why it ended."""
    with plane.logs.subscribe() as entries:
        view.run_method("reset", plane.logs.history())
        while (heard := await entries.take(30)) is not None:
            if heard:
                view.run_method("add", heard)
                await asyncio.sleep(TOGETHER)
    return entries.ended


VIEWS = (View("/logs", "logs", "Logs", build),)
