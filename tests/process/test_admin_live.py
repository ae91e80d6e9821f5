"""The live view of a real proxy, over HTTP: what happens is told while it happens, to those who may know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support.access import until
from support.admin import Admin, admin_of
from support.event_stream import listening
from support.proxy import Mitmproxy
from support.shared import shared_proxy

REQUESTS, LOGS = "/api/requests/stream", "/api/logs/stream"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmproxy]:
    """One for all: what one test leaves, the next must bear."""
    options = {"codemie_hosts": "127.0.0.1", "flow_detail": 0}
    with shared_proxy(tmp_path_factory.mktemp("live"), options=options) as made:
        yield made


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        yield made


@pytest.fixture
def admin(proxy: Mitmproxy) -> Iterator[Admin]:
    with admin_of(proxy) as client:
        yield client


async def ask(proxy: Mitmproxy, upstream: Upstream, conversation: str = "a-conversation") -> httpx.Response:
    asked = {"model": "claude-opus-4-5", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-claude-code-session-id": conversation}
    async with httpx.AsyncClient(proxy=proxy.url, trust_env=False, timeout=60) as client:
        return await client.post(f"{upstream.url}/v1/messages", json=asked, headers=headers)


async def test_a_stream_is_told_while_it_is_open_and_counted_when_it_has_ended(
    proxy: Mitmproxy, admin: Admin, upstream: Upstream
) -> None:
    gate = upstream.gate()
    upstream.script(Step(events=6, gate=gate))
    async with listening(admin, REQUESTS) as events, asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(proxy, upstream))
        start = await events.until(lambda event: event["type"] == "start")
        assert (start["model"], start["agentUsed"], start["path"]) == ("claude-opus-4-5", "claude", "/v1/messages")
        assert (start["conversationId"], start["statusCode"]) == ("a-conversation", None)
        gate.release(2)
        first = await events.until(lambda event: event["type"] == "first_token")
        assert (first["id"], first["statusCode"]) == (start["id"], 200)
        gate.release(1)
        told = await events.until(lambda event: event["type"] == "progress")
        assert told["bytes"] > first["bytes"]
        gate.open()
        told = await events.until(lambda event: event["type"] == "summary")
        counted = told if told["payload"]["counted"] else await events.until(lambda event: event["type"] == "summary")
    summary = counted["payload"]
    assert (summary["id"], summary["success"], summary["counted"]) == (start["id"], True, True)
    assert summary["outputTokens"] > 0
    assert summary["costUsd"] > 0


async def test_who_comes_late_hears_of_what_is_under_way(proxy: Mitmproxy, admin: Admin, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.script(Step(events=3, gate=gate))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(proxy, upstream))
        await upstream.wait_requests(1)
        async with listening(admin, REQUESTS) as events:
            start = await events.until(lambda event: event["type"] == "start")
            assert start["model"] == "claude-opus-4-5"
            gate.open()
            done = await events.until(lambda event: event["type"] == "summary")
            assert done["payload"]["id"] == start["id"]


async def test_the_log_is_told_as_it_is_written_to_each_what_it_asked_for(
    proxy: Mitmproxy, admin: Admin, upstream: Upstream
) -> None:
    upstream.script(Step(), Step(status=500, body="{}"))
    async with listening(admin, LOGS) as all_of_it, listening(admin, f"{LOGS}?level=ERROR") as errors:
        assert (await ask(proxy, upstream)).status_code == 200
        line = await all_of_it.until(lambda entry: entry["logger"] == "proxy-access")
        assert (line["level"], "model=claude-opus-4-5" in line["msg"]) == ("INFO", True)
        assert (await ask(proxy, upstream)).status_code == 500
        error = await errors.until(lambda entry: entry["logger"] == "proxy-access")
        assert (error["level"], len(errors.seen)) == ("ERROR", 1)


async def test_what_is_told_and_kept_holds_no_secret(proxy: Mitmproxy, admin: Admin, upstream: Upstream) -> None:
    secret = "sk-ant-api03-" + "Planted0" * 5
    async with listening(admin, LOGS) as logs, listening(admin, REQUESTS) as requests:
        async with httpx.AsyncClient(proxy=proxy.url, trust_env=False) as client:
            url = f"{upstream.url}/v1/models/{secret}?key={secret}"
            await client.get(url, headers={"x-api-key": secret, "x-claude-code-session-id": secret})
        told = await logs.until(lambda entry: entry["logger"] == "proxy-access")
        await requests.until(lambda event: event["type"] == "summary")
    history = admin.get("/api/logs/history").json()
    assert told in history
    assert secret not in json.dumps([told, history, requests.seen])


@pytest.mark.parametrize("path", [REQUESTS, LOGS])
async def test_the_65th_listener_is_turned_away_until_one_leaves(admin: Admin, path: str) -> None:
    def one_more() -> int:
        with admin.stream("GET", path) as answer:
            return answer.status_code

    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(listening(admin, path)) for _ in range(64)]
        refused = await asyncio.to_thread(admin.get, path)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "10"
        assert refused.headers["content-type"] == "application/problem+json"
        await crowd[0].answer.aclose()
        await asyncio.to_thread(until, lambda: one_more() == 200)


@pytest.mark.parametrize("path", [REQUESTS, LOGS, "/api/logs/history"])
async def test_nobody_listens_without_the_token(admin: Admin, path: str) -> None:
    with admin.stranger() as stranger:
        assert stranger.get(path).status_code == 401


async def test_who_leaves_is_not_told_any_more(proxy: Mitmproxy, admin: Admin, upstream: Upstream) -> None:
    def watching() -> object:
        return next(one for one in proxy.health()["addons"] if one["name"] == "admin_server")["details"]["watching"]

    async with listening(admin, REQUESTS):
        await asyncio.to_thread(until, lambda: watching() == 1)
    await asyncio.to_thread(until, lambda: watching() == 0)
    assert (await ask(proxy, upstream)).status_code == 200


async def test_the_end_of_the_proxy_ends_every_stream_at_once(proxy: Mitmproxy, admin: Admin) -> None:
    async with listening(admin, REQUESTS) as requests, listening(admin, LOGS) as logs:
        async with asyncio.timeout(30):
            code = await asyncio.to_thread(proxy.stop)
            ends = await asyncio.gather(requests.rest(), logs.rest())
    assert code == 0
    assert not any("dropped" in end for end in ends)
