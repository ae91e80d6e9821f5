"""The stage of the demo without a proxy: nothing of what a scene shows happens there."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from rich.console import Console

from codemie_core.demo.proxy_process import ProxyProcess
from codemie_core.demo.stage import Stage
from codemie_core.demo.upstream import Upstream


class NoProxy:
    """In the place of a proxy: clients reach the upstream itself."""

    def __init__(self, url: str, addons: list[dict[str, Any]] | None = None) -> None:
        self.url = url
        self._addons = addons or []

    async def __aenter__(self) -> "NoProxy":
        return self

    async def __aexit__(self, *details: object) -> None:
        """Nothing to end."""

    async def ready(self) -> None:
        """It always is."""

    async def command(self, *arguments: str, typed: str = "") -> str:
        """Says nothing, whatever the command."""
        return ""

    async def health(self, client: httpx.AsyncClient) -> dict[str, Any]:
        """Nothing has happened."""
        return {"counters": {"exchanges": {}}, "addons": self._addons}


@asynccontextmanager
async def without_proxy(
    transport: httpx.AsyncHTTPTransport | None = None, addons: list[dict[str, Any]] | None = None
) -> AsyncIterator[Stage]:
    """A stage whose clients reach the upstream itself."""
    async with Upstream() as upstream, httpx.AsyncClient(trust_env=False, transport=transport, timeout=60) as client:
        proxy = cast(ProxyProcess, NoProxy(upstream.url, addons))
        made = Stage(Console(file=io.StringIO()), client, Path(), upstream, proxy)
        try:
            yield made
        finally:
            await made.take_upstream_down()
