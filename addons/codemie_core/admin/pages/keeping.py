"""How much history there is, how long it stays, and what one can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.config import NewRetention, retention, set_retention
from codemie_core.admin.maintenance import cleanup, compact
from codemie_core.admin.pages.format import moment
from codemie_core.admin.pages.layout import acting, box, button, text, toast
from codemie_core.admin.pages.widgets import Moment, Told
from codemie_core.admin.problems import AdminProblem
from codemie_core.admin.storage import storage

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

WHO = "dashboard"


class History:
    """A few facts and three acts."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        with box("cm-pairs"):
            text("On disk")
            self._bytes = Told("bytes")
            text("Goes back to")
            self._oldest = Moment(None, "day")
            text("Kept for")
            self._kept = text("")
        with box("cm-row"):
            button("Change", self._change, "small")
            button("Clean up", self._clean, "small")
            button("Compact", self._compact, "small")

    async def show(self) -> None:
        """What it is now."""
        found, kept = await storage(self._plane), await retention(self._plane)
        self._bytes.show(found.bytes)
        self._oldest.show(moment(found.oldest))
        self._kept._text = days(kept.request_days)
        self._kept.update()

    async def _change(self) -> None:
        now = await retention(self._plane)
        with ui.dialog() as dialog, box("cm-dialog").props('role="dialog" aria-modal="true"'):
            text("How long history is kept", tag="h1")
            text("In days; 0 is for ever. What is older goes within the hour.", "cm-muted")
            with box("cm-form"):
                requests = ui.number("Requests", value=now.request_days, min=0).props("dense outlined")
                payloads = ui.number("What was said, where it is kept", value=now.payload_days, min=0).props(
                    "dense outlined"
                )

            async def save() -> None:
                asked = NewRetention(request_days=requests.value or 0, payload_days=payloads.value or 0)
                if await acting(set_retention(self._plane, asked, WHO), "Saved."):
                    dialog.close()
                    await self.show()

            with box("cm-dialog-foot"):
                button("Cancel", dialog.close)
                button("Save", save, "primary")
        dialog.on("hide", dialog.delete)
        dialog.open()

    async def _clean(self) -> None:
        try:
            done = await cleanup(self._plane, WHO)
        except AdminProblem as problem:
            toast(problem.detail, "bad")
            return
        more = "; there is more, do it again" if done.more else ""
        toast(f"{done.removed_requests:,} requests were too old{more}.", "good")
        await self.show()

    async def _compact(self) -> None:
        if await acting(compact(self._plane, WHO), "What was free is given back to the disk."):
            await self.show()


def days(number: float) -> str:
    """Like 90 days."""
    if not number:
        return "ever"
    return f"{number:g} day{'' if number == 1 else 's'}"
