"""A mitmproxy in this process with account_rotation at work, requests for it and the answers to them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mitmproxy import http
from mitmproxy.test import tutils

from account_rotation import AccountRotation
from codemie_core.exchange import Attempt, Exchange, Terminal, exchange_of
from codemie_core.policy import AttemptPlan, Failure, Reason
from support.core_room import Room, request, running
from support.stored import StoredHome

URL = "https://api.test"
MODE = "reverse:https://api.test"
BODY = b'{"model": "opus", "messages": []}'
LIMIT = {"retry-after": "120"}


def fill(home: StoredHome) -> None:
    """main is asked first, spare second."""
    home.key("main", URL, "planted-main", provider="anthropic-compatible")
    home.key("spare", URL, "planted-spare", provider="anthropic-compatible", priority=1)


@asynccontextmanager
async def rotating(mishaps: int = 0, **options: Any) -> AsyncIterator[Room]:
    """At its end the addon must have failed so many times."""
    async with running(AccountRotation(), **options) as room:
        yield room
        assert addon_of(room).status.mishaps.total() == mishaps


def addon_of(room: Room) -> AccountRotation:
    """The one in there."""
    [addon] = room.addons
    assert isinstance(addon, AccountRotation)
    return addon


def asked(
    path: str = "/v1/messages",
    host: str = "api.test",
    mode: str = MODE,
    session: str = "",
    method: str = "POST",
    body: bytes = BODY,
    agent: str = "",
) -> http.HTTPFlow:
    """A request with a dummy key; with a session it is Claude Code's."""
    fields = [(b"x-api-key", b"planted-dummy")]
    if agent:
        fields += [(b"user-agent", agent.encode())]
    if session:
        fields += [(b"user-agent", b"claude-cli/2.1"), (b"x-claude-code-session-id", session.encode())]
    flow = request(mode=mode, host=host, headers=http.Headers(fields), content=body, method=method.encode())
    flow.request.scheme, flow.request.path = "https", path
    exchange_of(flow).plan = AttemptPlan()
    return flow


async def served(room: Room, flow: http.HTTPFlow) -> str:
    """The key that goes with the request now; "" for none."""
    await room.fire("request", flow)
    return key(exchange_of(flow))


def key(exchange: Exchange) -> str:
    """What the wire copy gets."""
    return " ".join(one.headers["x-api-key"].get_secret_value() for one in exchange.credentials)


async def answered(room: Room, flow: http.HTTPFlow, status: int, **headers: str) -> Attempt:
    """An attempt brings this, and goes as far as the machine would take it."""
    attempt = exchange_of(flow).begin_attempt(flow.request.host, flow.request.port)
    attempt.status = status
    flow.response = tutils.tresp(status_code=status, headers=http.Headers([], **headers))
    await room.fire("upstream_response", flow, attempt)
    if attempt.wants_body:
        attempt.failure, attempt.body = Failure(Reason.STATUS, status=status), b""
        await room.fire("upstream_failed", flow, attempt)
    else:
        await room.fire("responseheaders", flow)
    return attempt


def reason(room: Room, name: str) -> str:
    """Why this account is left alone; "" when it is not."""
    addon = addon_of(room)
    return next(addon.pool.status(one.id).reason for one in addon.pool.accounts if one.name == name)


def refusal(flow: http.HTTPFlow) -> tuple[int, str | None]:
    """Status and code of our own answer."""
    assert flow.response is not None
    return flow.response.status_code, exchange_of(flow).error


async def finished(room: Room, flow: http.HTTPFlow, content_type: str, tail: bytes, encoding: str = "") -> None:
    """An answer that ends with these bytes."""
    headers = {"content_type": content_type} | ({"content_encoding": encoding} if encoding else {})
    await answered(room, flow, 200, **headers)
    exchange = exchange_of(flow)
    for observer in exchange.observers:
        observer(tail)
    exchange.tail = gzip.compress(tail) if encoding == "gzip" else tail
    exchange.end(Terminal.COMPLETE)
    await room.fire("exchange_done", exchange)
