"""mitmweb with the bundle, and a client of mitmweb's own REST interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from codemie_core.demo.absent import closed_port
from support.proxy import Mitmproxy

PATIENCE = 60.0
TOKEN = "test"
"""The password that `Mitmproxy` gives to mitmweb."""


class Web:
    """Signed in. `async with web: ...` closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        cookies = {"_mitmproxy_xsrf": "test"}
        headers = {"Authorization": f"Bearer {TOKEN}", "X-XSRFToken": "test"}
        self._client = httpx.AsyncClient(base_url=self.url, headers=headers, cookies=cookies, trust_env=False)

    async def __aenter__(self) -> Web:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def flows(self, finished: int, said: str = "") -> list[dict[str, Any]]:
        """All of them, once so many have this in their comment."""
        async with asyncio.timeout(PATIENCE):
            while True:
                flows: list[dict[str, Any]] = (await self._client.get("/flows")).raise_for_status().json()
                if len([flow for flow in flows if flow["comment"] and said in flow["comment"]]) >= finished:
                    return flows
                await asyncio.sleep(0.05)

    async def shown(self, flow: dict[str, Any], message: str = "response", view: str = "auto") -> dict[str, Any]:
        """What the page shows of a flow's "request", "response" or "messages"."""
        answer = await self._client.get(f"/flows/{flow['id']}/{message}/content/{view}.json")
        shown: dict[str, Any] = answer.raise_for_status().json()
        return shown

    async def raw(self, flow: dict[str, Any], message: str = "response") -> bytes:
        """The bytes that are kept."""
        answer = await self._client.get(f"/flows/{flow['id']}/{message}/content.data")
        return answer.raise_for_status().content

    async def clear(self) -> None:
        """The list is empty."""
        (await self._client.post("/clear")).raise_for_status()

    async def command(self, name: str, *args: str) -> Any:
        """What a command answers; its error's words where it refuses."""
        answer = await self._client.post(f"/commands/{name}", json={"arguments": list(args)})
        found = answer.raise_for_status().json()
        return found.get("value", found.get("error"))

    async def options(self) -> dict[str, Any]:
        """mitmproxy's options, as the page has them."""
        found: dict[str, Any] = (await self._client.get("/options")).raise_for_status().json()
        return found


def web_options(**options: object) -> tuple[tuple[str, ...], dict[str, object], Web]:
    """For a mitmweb on a port of its own: arguments, options, and the client. It keeps streamed bodies."""
    port = closed_port()  # mitmweb's log shows the port it was told, also where that is 0
    return ("--web-port", str(port)), {"store_streamed_bodies": True, **options}, Web(port)


@contextmanager
def mitmweb(*args: str, **options: object) -> Iterator[tuple[Mitmproxy, Web]]:
    """It runs."""
    more, chosen, web = web_options(**options)
    with Mitmproxy(*args, *more, tool="mitmweb", options=chosen) as proxy:
        yield proxy, web
