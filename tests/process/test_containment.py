"""One failing addon harms nobody else: not the client, not the other addons, not the log."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream

from support import misbehaving, onlooker, refusing, witness
from support.clients import Http1
from support.proxy import ADDONS, BUNDLE, Mitmproxy, failing_start, reverse
from support.raw_client import raw_client
from support.websocket import WebSocketClient

EVENTS = [sse(f'{{"n": {n}, "text": "Grüße"}}', "content_block_delta") for n in range(5)]
FAST = {"codemie_upstream_attempts_backoff": "1ms", "flow_detail": 0}

FIRED = frozenset(
    {
        "load", "configure", "running", "update", "start",
        "client_connected", "client_disconnected",
        "server_connect", "server_connected", "server_disconnected", "next_layer",
        "requestheaders", "request", "responseheaders", "response", "error",
        "websocket_start", "websocket_message", "websocket_end",
        "upstream_response", "upstream_failed", "exchange_done",
    }
)  # fmt: skip
"""Hooks that `traffic` makes mitmproxy and the bundle call; `done` and `stop` come at the end."""


async def traffic(proxy: Mitmproxy, upstream: Upstream) -> list[bytes]:
    """All that clients get for a stream, a plain answer, a retried one, an upstream that is gone, and a WebSocket."""
    got = []
    for steps in (
        [Step(events=EVENTS)],
        [Step(body='{"ok": true}')],
        [Step(status=503), Step(events=EVENTS)],
        [Step(cut=Cut.RESET), Step(body='{"ok": true}')],
        [Step(events=EVENTS, cut=Cut.RESET, after_events=2)],
        [Step(status=400, body='{"error": {"type": "invalid_request_error"}}')],
    ):
        upstream.script(*steps)
        async with raw_client(proxy.port) as client:
            await client.ask(headers={"connection": "close"}, stream=True)
            try:
                got.append(await client.rest())
            except ConnectionResetError:
                got.append(b"reset")
    upstream.script()
    async with WebSocketClient(proxy.port, "/v1/responses") as socket:
        await socket.say("hello")
        got.append((await socket.hear()).encode())
    gate = upstream.gate()
    upstream.script(Step(events=EVENTS, gate=gate))
    async with raw_client(proxy.port) as client:
        await client.ask(stream=True)
        got.append(await client.until(EVENTS[0]))
    await upstream.wait_cancelled(1)
    return got


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_addon_that_raises_everywhere_changes_nothing_for_anybody_else(kind: str, tmp_path: Path) -> None:
    runs: dict[str, list[bytes]] = {}
    heard: dict[str, Counter[str]] = {}
    for name, scripts in (
        ("without", (BUNDLE, witness.SCRIPT)),
        ("with", (misbehaving.SCRIPT, BUNDLE, witness.SCRIPT)),
    ):
        file = tmp_path / name
        env = {**witness.env(file), **misbehaving.env(kind)}
        async with Upstream() as upstream:
            with reverse(upstream.url, scripts=scripts, env=env, options=FAST) as proxy:
                runs[name] = [await traffic(proxy, upstream) for _ in range(2)][1]
                for mishap in ("websocket_end", "client_disconnected"):
                    if name == "with":
                        proxy.wait_for_log(f"failed in {mishap}")
                health = proxy.health()
                assert proxy.stop() == 0
        heard[name] = witness.heard(file)
    assert runs["with"] == runs["without"]
    for hook in FIRED | {"done", "stop", "chunk"}:
        assert heard["with"][hook] > 0, hook
        assert (heard["with"][hook] == heard["without"][hook]) or hook in VARYING, hook

    states = {addon["name"]: addon for addon in health["addons"]}
    assert health["status"] == "degraded"
    assert {name for name, addon in states.items() if addon["state"] != "active"} == {misbehaving.NAME}
    bad = states[misbehaving.NAME]
    assert bad["state"] == "degraded"
    assert FIRED <= set(bad["mishaps"])
    assert "always fails here" in bad["error"]
    lines = [line for line in proxy.lines if f"{misbehaving.NAME} failed in" in line]
    told = Counter(line.partition(" failed in ")[2].partition(":")[0] for line in lines)
    assert set(told) >= set(bad["mishaps"])
    assert set(told.values()) == {1}
    assert "Traceback" not in proxy.log
    assert "Addon error" not in proxy.log


VARYING = frozenset({"configure", "update", "server_connect", "server_connected", "server_disconnected", "next_layer"})
