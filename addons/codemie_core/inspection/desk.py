"""Where flows are looked at: what mitmweb and mitmproxy's console get to see beyond what mitmproxy itself shows.

Only there; under mitmdump nobody looks and nothing of this is imported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from mitmproxy import contentviews, ctx, hooks, http
from mitmproxy.utils import asyncio_utils

from codemie_core.exchange import Exchange, exchange_of
from codemie_core.inspection.content_view import ConversationView
from codemie_core.inspection.facts import (
    COMMENT,
    KEPT,
    LET_GO,
    NOTED,
    comment_of,
    facts_of,
    note_exchange,
    note_record,
)
from codemie_core.inspection.kept_bodies import KeptBodies
from codemie_core.places import Places
from codemie_core.pricing import PriceBook
from codemie_core.usage.record import Record
from codemie_core.usage.usage import Usage

logger = logging.getLogger(__name__)

COLUMNS = "web_columns"
"""Of mitmweb's list, where nobody has chosen them."""
HIDDEN = "Streamed answers pass without being kept: store_streamed_bodies=true keeps them, to be looked at here"


class Desk:
    """`view` is mitmproxy's list of flows."""

    def __init__(self, view: Any, places: Places) -> None:
        self._list = view
        self._flows: WeakValueDictionary[str, http.HTTPFlow] = WeakValueDictionary()
        self._kept = KeptBodies(self._let_go)
        self._prices = PriceBook(places)
        self._page = ConversationView(self.later, self._price)
        self.comments = True
        self.most = 0
        """Bytes that all bodies together may take; 0 is without a bound."""

    def open(self) -> None:
        """Offer the content view."""
        contentviews.add(self._page)
        asyncio_utils.create_task(asyncio.to_thread(self._prices.load), name="load prices to look at", keep_ref=True)
        if COLUMNS in ctx.options and not ctx.options.has_changed(COLUMNS):
            ctx.options.update(**{COLUMNS: [*getattr(ctx.options, COLUMNS), "comment"]})
        if not ctx.options.store_streamed_bodies:
            logger.info(HIDDEN)

    def close(self) -> None:
        """Flows are shown as mitmproxy shows them."""
        self._page.at_work = False

    @property
    def kept(self) -> int:
        """Bytes that finished flows hold."""
        return self._kept.total

    def began(self, flow: http.HTTPFlow) -> None:
        """A request has come. One that is replayed has the facts of its former self."""
        for name in NOTED & flow.metadata.keys():
            del flow.metadata[name]
        self._flows[exchange_of(flow).request_id] = flow

    async def ended(self, exchange: Exchange) -> None:
        """However it ended."""
        flow = self._flows.get(exchange.request_id)
        if flow is None:
            return
        self._kept.add(flow, self.most)
        if exchange.scoped:
            note_exchange(flow.metadata, exchange)
            self._note_cut(flow, exchange)
            await self._tell(flow)

    async def counted(self, record: Record) -> None:
        """A turn is metered, the only one of its request or one of its WebSocket's."""
        flow = self._flows.get(record.id.partition(".")[0])
        if flow is not None:
            note_record(flow.metadata, record)
            await self._tell(flow)

    def pages(self, flow: http.HTTPFlow) -> str:
        """A request and its answer. ValueError where there is no conversation in them."""
        return self._page.both(flow)

    def flows(self) -> list[http.HTTPFlow]:
        """All that are listed, the oldest first."""
        flows = [flow for flow in self._list.resolve("@all") if isinstance(flow, http.HTTPFlow)]
        return sorted(flows, key=lambda flow: flow.timestamp_created)

    def later(self, flow: http.HTTPFlow) -> Iterator[http.HTTPFlow]:
        """The requests of the same conversation that came after this one, the next one first."""
        conversation = facts_of(flow.metadata).conversation
        for other in self.flows() if conversation else ():
            if (
                other.timestamp_created > flow.timestamp_created
                and facts_of(other.metadata).conversation == conversation
            ):
                yield other

    def _price(self, provider: str, model: str, usage: Usage, at: datetime) -> int | None:
        """Of a flow that was not metered here: one out of a file."""
        return self._prices.price(provider, model, usage, at).nano_usd if self._prices.ready else None

    def _note_cut(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        body = flow.response.raw_content if flow.response is not None else None
        if body and len(body) < exchange.response_bytes:
            flow.metadata[KEPT] = f"the first {len(body):,} of {exchange.response_bytes:,} bytes"

    def _let_go(self, flow: http.HTTPFlow) -> None:
        flow.metadata[LET_GO] = True
        self._comment(flow)
        ctx.master.addons.trigger(hooks.UpdateHook([flow]))

    async def _tell(self, flow: http.HTTPFlow) -> None:
        self._comment(flow)
        await ctx.master.addons.trigger_event(hooks.UpdateHook([flow]))

    def _comment(self, flow: http.HTTPFlow) -> None:
        """Unless somebody has written a comment of their own."""
        if self.comments and flow.comment in ("", flow.metadata.get(COMMENT, "")):
            flow.comment = comment_of(facts_of(flow.metadata), flow.metadata.get(LET_GO) is True)
            flow.metadata[COMMENT] = flow.comment
