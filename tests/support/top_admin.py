"""The admin API of a proxy, as far as `top` asks: in this process, and as the test wants it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from codemie_core.top.client import AdminClient

NOW = 1_790_000_000.0
"""When all this happens, in seconds since the epoch."""


class LiveBytes(httpx.AsyncByteStream):
    """A live stream: what is said, until it is ended."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, **event: Any) -> None:
        """One event."""
        self._said.put_nowait(f"data: {json.dumps(event)}\n\n".encode())

    def end(self) -> None:
        """The proxy ends it."""
        self._said.put_nowait(b"")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"event: connected\ndata: ok\n\n"
        while said := await self._said.get():
            yield said


class TopAdmin:
    """`answers` by path, `posted` what came in. A path without an answer is a 404 problem."""

    def __init__(self) -> None:
        self.live = LiveBytes()
        self.listened = asyncio.Event()
        self.answers: dict[str, Any] = {
            "/api/accounts": [account("work", priority=0), account("spare", priority=1)],
            "/api/sessions": {"items": [], "nextCursor": None},
            "/api/requests": [],
            "/api/analytics": {"totals": {"requests": 3, "successRate": 100, "totalTokens": 900, "totalCostUsd": 1.5}},
        }
        self.posted: list[tuple[str, Mapping[str, Any]]] = []
        self.says: dict[str, Any] = {}
        """What is answered to a POST, by path."""
        self.refuses: dict[str, tuple[int, str]] = {}
        self.gone = False

    def connect(self, port: int, token: str) -> AdminClient:
        """A client of it."""
        return AdminClient(port, token, httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.gone:
            raise httpx.ConnectError("refused", request=request)
        if request.headers.get("authorization") != "Bearer planted-token":
            return problem(401, "No.")
        if path in self.refuses:
            return problem(*self.refuses[path])
        if path == "/api/requests/stream":
            self.listened.set()
            return httpx.Response(200, stream=self.live, headers={"content-type": "text/event-stream"})
        if request.method == "POST":
            self.posted.append((path, json.loads(request.content)))
            done = {"success": True, "message": f"Did {path.rpartition('/')[2]}."}
            return httpx.Response(200, json=self.says.get(path, done))
        if path not in self.answers:
            return problem(404, f"There is no {path}.")
        return httpx.Response(200, json=self.answers[path])


def problem(status: int, detail: str) -> httpx.Response:
    """As RFC 9457 has it."""
    return httpx.Response(status, json={"title": "No", "status": status, "detail": detail})


def account(name: str, **more: Any) -> dict[str, Any]:
    """One that is ready."""
    ready = {"state": "ready", "stateInWords": "ready", "paused": False, "requestCount": 7, "priority": 0}
    return {"id": f"id-{name}", "name": name, "provider": "anthropic", **ready, **more}


def start(request_id: str, **more: Any) -> dict[str, Any]:
    """The event of a request that begins."""
    told = {"method": "POST", "path": "/v1/messages", "model": "claude-sonnet-4-5", "agentUsed": "claude-code"}
    return {"type": "start", "id": request_id, "timestamp": NOW * 1000, **told, "sessionId": "s-1", **more}


def summary(request_id: str, **more: Any) -> dict[str, Any]:
    """The event of its end."""
    told = {"statusCode": 200, "success": True, "responseTimeMs": 2500, "timestamp": "2026-09-21T14:13:20+00:00"}
    return {"type": "summary", "payload": {"id": request_id, **told, **more}}
