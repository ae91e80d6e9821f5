"""A mitmproxy in this process whose flows somebody can look at: `inspection` at work beside mitmproxy's own list."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from mitmproxy import contentviews, hooks, http
from mitmproxy.addons.view import View
from mitmproxy.flow import Flow
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import Terminal, exchange_of
from codemie_core.recorded import UsageRecordedHook
from codemie_core.usage.record import Record
from inspection import Inspection
from support.talks import Talk

OF_MITMWEB: Mapping[str, tuple[Any, Any]] = {
    "store_streamed_bodies": (bool, False),
    "mode": (list, ["regular"]),
    "web_columns": (Sequence[str], ["path", "size"]),
}
"""Options that other addons of mitmproxy declare."""


class Watched:
    """`fire` fires a hook."""

    def __init__(self, tctx: taddons.context, addon: Inspection, view: View) -> None:
        self.tctx, self.addon, self.view = tctx, addon, view
        self.told: list[str] = []
        """The comment of each flow that the list was told to show anew."""
        view.sig_view_update.connect(self._update)

    @property
    def options(self) -> Any:
        return self.tctx.options

    @property
    def core(self) -> CoreAddon:
        core = self.tctx.master.addons.get(CoreAddon.name)
        assert isinstance(core, CoreAddon)
        return core

    def call(self, command: str, *args: object) -> Any:
        """A command, as mitmweb calls it."""
        return self.tctx.master.commands.call_strings(command, [str(arg) for arg in args])

    async def fire(self, hook: str, *args: Any) -> None:
        await self.tctx.master.addons.trigger_event(hooks.all_hooks[hook](*args))

    async def counted(self, record: Record) -> None:
        """A turn is metered."""
        await self.tctx.master.addons.trigger_event(UsageRecordedHook(record))

    async def asked(self, flow: http.HTTPFlow) -> http.HTTPFlow:
        """Its request has come."""
        answer, flow.response = flow.response, None  # There is none yet, or it would have been answered here.
        await self.fire("requestheaders", flow)
        await self.fire("request", flow)
        flow.response = answer
        return flow

    async def answered(self, flow: http.HTTPFlow, terminal: Terminal = Terminal.COMPLETE) -> http.HTTPFlow:
        """It has ended."""
        exchange = exchange_of(flow)
        exchange.end(terminal)
        exchange.response_bytes = len((flow.response.raw_content if flow.response else None) or b"")
        await self.fire("response", flow)
        return flow

    def page(self, flow: http.HTTPFlow, message: http.Message | None = None) -> contentviews.ContentviewResult:
        """What mitmweb shows without being told how."""
        return contentviews.prettify_message(message or flow.response, flow)  # type: ignore[arg-type]  # there is one

    def _update(self, flow: Flow) -> None:
        self.told.append(flow.comment)


@asynccontextmanager
async def looking(listed: bool = True, **options: Any) -> AsyncIterator[Watched]:
    """`listed`: is there a list of flows, as mitmweb has one and mitmdump has none?"""
    addon, view = Inspection(), View()
    script = SimpleNamespace(name="script", addons=[addon])
    with taddons.context(*([view] if listed else []), script) as tctx:
        for name, (kind, default) in OF_MITMWEB.items():
            if name not in tctx.options:
                tctx.options.add_option(name, kind, default, "")
        tctx.options.update(**options)
        tctx.master.addons.invoke_addon_sync(script, hooks.ConfigureHook(tctx.options.keys()))
        # The core stands last in a real chain; here it was added while the script was still being added.
        core = tctx.master.addons.get(CoreAddon.name)
        tctx.master.addons.chain.remove(core)
        tctx.master.addons.chain.append(core)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield Watched(tctx, addon, view)
        await tctx.master.addons.trigger_event(hooks.DoneHook())
        assert addon.status.mishaps.total() == 0


def talked(talk: Talk, *, following: bool = False, answered: bool = True, after: float = 0.0) -> http.HTTPFlow:
    """A flow with this conversation; `following` is the request that came next."""
    body: Mapping[str, Any] = talk.following if following else talk.request
    fields = [(name.encode(), value.encode()) for name, value in talk.headers.items()]
    flow = tflow.tflow(
        req=tutils.treq(
            **{"host": "api.test", "port": 443, "scheme": b"https", "method": b"POST", "path": talk.path.encode()},
            headers=http.Headers([*fields, (b"content-type", b"application/json")]),
            content=json.dumps(body).encode(),
        )
    )
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://api.test")
    flow.timestamp_created += after
    flow.live = False
    if answered:
        head = http.Headers([(b"content-type", b"text/event-stream")])
        flow.response = tutils.tresp(headers=head, content=b"".join(talk.events))
    return flow
