"""The admin API over HTTP, as a program of the operator's uses it: with the token, and in words when it fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from codemie_core.errors import CodemieError
from codemie_core.sse import SseParser

FIRST_ANSWER = 60.0
"""Seconds. The first question makes a proxy load all it needs to answer it, which a busy machine does slowly."""
SILENCE = 45.0
"""Seconds without even a heartbeat, which comes every 15, until a live stream counts as lost."""


class ApiTrouble(CodemieError):
    """The admin API said no, or nothing. The message is for people."""


class NotAnswering(ApiTrouble):
    """Nothing that speaks HTTP is there: the proxy ended, or it is not up yet."""


class NotAllowed(ApiTrouble):
    """The token is not the one this proxy knows."""


class AdminClient:
    """One proxy's admin API. Close it in the end."""

    def __init__(self, port: int, token: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.port = port
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {token}"},
            timeout=FIRST_ANSWER,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def get(self, path: str, **query: str | int) -> Any:
        """What is there. ApiTrouble when it is not."""
        return await self._asked("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Change something; its answer, None when it has nothing to say."""
        return await self._asked("POST", path, json=body or {})

    async def events(self, path: str) -> AsyncIterator[tuple[str, Any]]:
        """(name, data) of a live stream, heartbeats left out, until the proxy ends it."""
        parser = SseParser()
        wait = httpx.Timeout(FIRST_ANSWER, read=SILENCE)
        try:
            async with self._client.stream("GET", path, timeout=wait) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    _raise_for(answer)
                async for chunk in answer.aiter_bytes():
                    for event in parser.feed(chunk):
                        yield event.event, _parsed(event.data)
        except httpx.HTTPError as problem:
            raise _trouble(problem) from None

    async def close(self) -> None:
        """Give its connections back."""
        await self._client.aclose()

    async def _asked(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._client.request(method, path, **more)
        except httpx.HTTPError as problem:
            raise _trouble(problem) from None
        if not answer.is_success:
            _raise_for(answer)
        return _parsed(answer.text) if answer.content else None


def part(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _trouble(problem: httpx.HTTPError) -> ApiTrouble:
    if isinstance(problem, httpx.ConnectError):
        return NotAnswering("The proxy does not answer.")
    if isinstance(problem, httpx.TimeoutException):
        return NotAnswering("The proxy takes too long to answer.")
    return NotAnswering("The proxy ended the connection.")


def _raise_for(answer: httpx.Response) -> None:
    if answer.status_code in (401, 403):
        raise NotAllowed("This proxy knows another token than the one in proxy/admin.token.")
    found = _parsed(answer.text)
    detail = found.get("detail") or found.get("title") or found.get("error") if isinstance(found, dict) else ""
    raise ApiTrouble(str(detail) if detail else f"The proxy answered {answer.status_code}.")
