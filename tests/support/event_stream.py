"""Listens to a stream of server-sent events of the admin API.

async with listening(admin, "/api/requests/stream") as events:
    started = await events.until(lambda event: event["type"] == "start")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from support.admin import Admin

PATIENCE = 60.0


class Events:
    """What has come so far, read as it comes."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.seen: list[dict[str, Any]] = []
        """The data of all events that are JSON."""
        self._lines = answer.aiter_lines()

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next event like this; EOFError at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            while True:
                event = await self._next()
                self.seen.append(event)
                if wanted(event):
                    return event

    async def rest(self) -> str:
        """All that still comes, to the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            return "\n".join([line async for line in self._lines])

    async def hello(self, line: str) -> None:
        """Wait for this line."""
        async with asyncio.timeout(PATIENCE):
            while await anext(self._lines) != line:
                continue

    async def _next(self) -> dict[str, Any]:
        async for line in self._lines:
            if line.startswith("data: {"):
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return event
        raise EOFError(f"the stream ended after {self.seen}")


@asynccontextmanager
async def listening(admin: Admin, path: str) -> AsyncIterator[Events]:
    """Connected, with its hello heard."""
    headers = {"authorization": f"Bearer {admin.token}"}
    async with (
        httpx.AsyncClient(base_url=admin.base_url, headers=headers, trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", path) as answer,
    ):
        events = Events(answer)
        if answer.status_code == 200:
            await events.hello('data: {"connected":true}' if "/logs/" in path else "data: ok")
        yield events
