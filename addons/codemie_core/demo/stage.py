"""What the scenes of the demo play on: the scripted upstream, two proxies before it, a client, a screen."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from codemie_core.demo.proxy_process import ProxyProcess
from codemie_core.demo.upstream import Upstream

FAILING_ADDON = Path(__file__).parent / "failing" / "failing_addon.py"
PATIENCE = 10.0
"""Seconds a scene waits for anything."""


class SceneFailed(Exception):
    """What a scene promised did not happen."""


@dataclass(slots=True)
class Stage:
    """`upstream` changes when a scene takes it down and puts it up again, its address does not."""

    console: Console
    client: httpx.AsyncClient
    folder: Path
    upstream: Upstream
    proxy: ProxyProcess

    def say(self, text: str = "") -> None:
        """One line of a scene; rich markup."""
        self.console.print(f"   {text}")

    async def take_upstream_down(self) -> None:
        """From here on nothing listens where the upstream was."""
        await self.upstream.__aexit__(None, None, None)

    async def put_upstream_up(self) -> None:
        """A new one, at the same address."""
        self.upstream = await Upstream(port=self.upstream.port).__aenter__()

    def another_proxy(self, script: Path) -> ProxyProcess:
        """Before the same upstream, with one more script."""
        return ProxyProcess(self.folder / script.stem, self.upstream.url, script)

    async def wait_for(self, proxy: ProxyProcess, what: str) -> None:
        """Until it serves."""
        with self.console.status(f"starting {what}"):
            await proxy.ready()


def require(happened: bool, promise: str) -> None:
    """SceneFailed when it did not happen."""
    if not happened:
        raise SceneFailed(f"it did not happen that {promise}")


def message(stream: bool) -> dict[str, Any]:
    """A request to the Messages API."""
    words = [{"role": "user", "content": "Tell me what you do."}]
    return {"model": "demo-model", "max_tokens": 100, "stream": stream, "messages": words}


@asynccontextmanager
async def set_stage(console: Console) -> AsyncIterator[Stage]:
    """Start everything; end everything."""
    async with AsyncExitStack() as stack:
        began = time.monotonic()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="codemie-demo-")))
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=PATIENCE))
        upstream = await Upstream().__aenter__()
        stage = Stage(console, client, folder, upstream, ProxyProcess(folder / "proxy", upstream.url))
        stack.push_async_callback(stage.take_upstream_down)
        await stack.enter_async_context(stage.proxy)
        await stage.wait_for(stage.proxy, "a scripted model API and a proxy")
        console.print(f"[dim]A scripted model API and a real proxy are up after {time.monotonic() - began:.1f} s.[/]")
        yield stage


async def poll[T](read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """Call `read` until `wanted` likes what it returns; the last value when time is up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = await read()
        if wanted(value) or time.monotonic() > deadline:
            return value
        await asyncio.sleep(0.02)
