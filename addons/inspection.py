"""What mitmweb and mitmproxy's console show of model turns: conversations instead of event streams, and a comment.

Fails open. Where nobody can look, under mitmdump, none of its hooks is there and nothing is imported. Streamed bodies
are kept only where mitmproxy is asked to, with `store_streamed_bodies`; how much of them, is said here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mitmproxy import ctx, http
from pydantic import Field

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.durations import Size
from codemie_core.exchange import Exchange
from codemie_core.inspection.commands import InspectionCommands
from codemie_core.seams.kept_body import BOUND
from codemie_core.usage.record import Record

if TYPE_CHECKING:
    from codemie_core.inspection.desk import Desk

AT_WORK = ("requestheaders", "exchange_done", "usage_recorded")


class Inspection(InspectionCommands, Addon, priority=90):
    """At work where mitmproxy has a list of flows."""

    class Settings(AddonSettings):
        """What is shown, and how much memory it may take."""

        comments: bool = Field(True, description="Comment each flow with its session, account, attempts and cost.")
        keep_body: Size = Field(
            8 * 1024 * 1024, ge=1024, description="How much of each streamed body is kept under store_streamed_bodies."
        )
        keep: Size = Field(
            256 * 1024 * 1024,
            ge=0,
            description="How much the bodies of finished flows may take together, the oldest go first; 0 is all.",
        )

    settings: Settings

    def __init__(self) -> None:
        self.desk: Desk | None = None
        self._wire(on=False)

    def settled(self) -> None:
        """Take new settings while at work too."""
        BOUND.most = self.settings.keep_body
        if self.desk is not None:
            self.desk.comments, self.desk.most = self.settings.comments, self.settings.keep

    def start(self) -> None:
        """Lay out the desk, where somebody can look."""
        view = ctx.master.addons.get("view")
        if view is None:
            return
        from codemie_core.inspection.desk import Desk

        self.desk = Desk(view, core_of(self).places)
        self.settled()
        self.desk.open()
        self._wire(on=True)
        core_of(self).rewire()

    def stop(self) -> None:
        """Show flows as mitmproxy does."""
        desk, self.desk = self.desk, None
        if desk is not None:
            desk.close()
            self._wire(on=False)
            core_of(self).rewire()

    def health(self) -> Mapping[str, object]:
        """What finished flows take."""
        return {} if self.desk is None else {"kept_bytes": self.desk.kept}

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """From here on it is in the list."""
        if self.desk is not None:
            self.desk.began(flow)

    async def exchange_done(self, exchange: Exchange) -> None:
        """Say how it ended."""
        if self.desk is not None:
            await self.desk.ended(exchange)

    async def usage_recorded(self, record: Record) -> None:
        """Say what it took."""
        if self.desk is not None:
            await self.desk.counted(record)

    def _wire(self, on: bool) -> None:
        for hook in AT_WORK:
            if on:
                vars(self).pop(hook, None)
            else:
                vars(self)[hook] = None


addons = [Inspection()]
