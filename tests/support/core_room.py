"""A mitmproxy in this process with addons of a test at work, the core addon among them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from mitmproxy import hooks, http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import Exchange


class Listener(Addon, priority=40, name="listener"):
    """Notes what happens."""

    class Settings(AddonSettings):
        """One of them."""

        limit: int = 3

    def __init__(self) -> None:
        self.log: list[str] = []
        self.done: list[Exchange] = []

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    async def exchange_done(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        self.done.append(exchange)

    def upstream_response(self, flow: http.HTTPFlow, attempt: object) -> None:
        self.log.append("upstream_response")

    def upstream_failed(self, flow: http.HTTPFlow, attempt: object) -> None:
        self.log.append("upstream_failed")

    def look(self, data: bytes) -> None:
        raise RuntimeError("this observer always fails")


class Fixed(Addon, priority=10, name="fixed"):
    """May not be switched while the proxy runs."""

    switchable = False


class Room:
    """A mitmproxy with these addons at work."""

    def __init__(self, tctx: taddons.context, addons: tuple[Addon, ...]) -> None:
        self.tctx, self.addons = tctx, addons

    @property
    def core(self) -> CoreAddon:
        core = self.tctx.master.addons.get(CoreAddon.name)
        assert isinstance(core, CoreAddon)
        return core

    @property
    def options(self) -> Any:
        return self.tctx.options

    async def fire(self, hook: str, *args: Any) -> None:
        await self.tctx.master.addons.trigger_event(hooks.all_hooks[hook](*args))


@asynccontextmanager
async def running(*addons: Addon, **options: Any) -> AsyncIterator[Room]:
    script = SimpleNamespace(name="script", addons=list(addons))
    with taddons.context(script) as tctx:
        tctx.options.add_option("mode", list, ["regular"], "") if "mode" not in tctx.options else None
        tctx.options.update(**options)
        tctx.master.addons.invoke_addon_sync(script, hooks.ConfigureHook(tctx.options.keys()))
        # The core stands last in a real chain; here it was added while the script was still being added.
        core = tctx.master.addons.get(CoreAddon.name)
        tctx.master.addons.chain.remove(core)
        tctx.master.addons.chain.append(core)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield Room(tctx, addons)
        await tctx.master.addons.trigger_event(hooks.DoneHook())


def request(
    mode: str = "reverse:https://api.anthropic.com", host: str = "api.anthropic.com", **kwargs: Any
) -> http.HTTPFlow:
    flow = tflow.tflow(req=tutils.treq(host=host, port=443, path=b"/v1/messages", **kwargs))
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow
