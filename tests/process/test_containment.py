"""One failing addon harms nobody else: not the client, not the other addons, not the log."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import misbehaving, onlooker, refusing, witness
from support.access import until
from support.clients import Http1
from support.proxy import ADDONS, BUNDLE, Mitmproxy, failing_start, reverse
from support.raw_client import raw_client
from support.shared import shared_proxy
from support.websocket import WebSocketClient

EVENTS = [sse(f'{{"n": {n}, "text": "Grüße"}}', "content_block_delta") for n in range(5)]
FAST = {"codemie_upstream_attempts_backoff": "1ms", "flow_detail": 0}

WITHOUT_INJECTION = (
    "is running with upstream_attempts, tls_interception, retargeting, local_endpoints, proxy_access, sso_auth, "
    "websocket_guard, account_rotation, request_log, usage_metering, telemetry, inspection, metrics_sync, admin_server$"
)

FIRED = frozenset(
    {
        "load", "configure", "running", "update", "start",
        "client_connected", "client_disconnected",
        "server_connect", "server_connected", "server_disconnected", "next_layer",
        "requestheaders", "request", "responseheaders", "response", "error",
        "websocket_start", "websocket_message", "websocket_end",
        "upstream_response", "upstream_failed", "exchange_done", "usage_recorded",
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
        await socket.say('{"type": "response.create"}')
        while b"response.completed" not in got[-1]:
            got.append((await socket.hear()).encode())
    gate = upstream.gate()
    upstream.script(Step(events=EVENTS, gate=gate))
    async with raw_client(proxy.port) as client:
        await client.ask(stream=True)
        got.append(await client.until(EVENTS[0]))
    await upstream.wait_cancelled(1)
    return got


def all_have_left(file: Path) -> bool:
    """Has the witness heard the end of every connection?"""
    heard = witness.heard(file)
    return all(heard[f"{side}_connected"] == heard[f"{side}_disconnected"] for side in ("client", "server"))


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
                await asyncio.to_thread(until, partial(all_have_left, file), 30)
                # asyncio of Python 3.12.1 prints one of its own for a client that is still connected at the end.
                assert "Traceback" not in proxy.log
                assert proxy.stop() == 0
        heard[name] = witness.heard(file)
    assert runs["with"] == runs["without"]
    for hook in FIRED | {"done", "stop", "chunk"}:
        assert heard["with"][hook] > 0, hook
        # Each option that one more addon declares configures all of them once more.
        assert heard["with"][hook] == heard["without"][hook] or hook == "configure", hook

    states = {addon["name"]: addon for addon in health["addons"]}
    assert health["status"] == "degraded"
    assert {name for name, addon in states.items() if addon["state"] != "active"} == {misbehaving.NAME}
    bad = states[misbehaving.NAME]
    assert bad["state"] == "degraded"
    assert set(bad["mishaps"]) >= FIRED
    assert "always fails here" in bad["error"]
    lines = [line for line in proxy.lines if f"{misbehaving.NAME} failed in" in line]
    told = Counter(line.partition(" failed in ")[2].partition(":")[0] for line in lines)
    assert set(told) >= set(bad["mishaps"])
    assert set(told.values()) == {1}
    assert "Addon error" not in proxy.log


OBSERVING = """
from codemie_core.addon import Addon
from codemie_core.exchange import exchange_of

class Method(Addon, priority=60, name="by_method"):
    def request(self, flow):
        exchange_of(flow).observers.append(self.look)

    def look(self, data):
        raise RuntimeError("this observer always fails")

class Closure(Addon, priority=61):
    def request(self, flow):
        exchange_of(flow).observers.append(lambda data: 1 / 0)

addons = [Method(), Closure()]
"""


async def test_a_raising_chunk_observer_is_dropped_and_the_bytes_pass(tmp_path: Path) -> None:
    seen, observing = tmp_path / "seen", tmp_path / "observing.py"
    observing.write_text(OBSERVING)
    scripts = (BUNDLE, observing, onlooker.SCRIPT)
    async with Upstream() as upstream:
        with reverse(upstream.url, scripts=scripts, env=onlooker.env(seen), options=FAST) as proxy:
            for _ in range(3):
                upstream.script(Step(events=EVENTS))
                async with asyncio.timeout(60), Http1(proxy.port) as client:
                    answer = await client.ask("POST", "/v1/messages", body=b'{"stream": true}')
                assert (answer.status, answer.body, answer.ended) == (200, b"".join(EVENTS), "complete")
            states = {addon["name"]: addon for addon in proxy.health()["addons"]}
            proxy.stop()
    assert seen.read_bytes() == b"".join(EVENTS) * 3
    assert states["by_method"]["mishaps"] == {"chunk observer": 3}
    assert states["observing"]["mishaps"] == {"chunk observer": 3}
    assert "ZeroDivisionError" in states["observing"]["error"]
    assert states["upstream_attempts"]["state"] == "active"
    # The onlooker's own is a plain function of a script that is no addon of the bundle.
    for culprit in ("by_method failed in chunk observer", "observing failed in chunk observer", "chunk observer _fail"):
        assert len([line for line in proxy.lines if culprit in line]) == 1
    assert "crashed" not in proxy.log


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of addons/ to break."""
    folder = tmp_path / "addons"
    shutil.copytree(ADDONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


BROKEN = {
    "raises": "raise RuntimeError('broken on purpose')\n",
    "misses a library": "import a_library_that_is_not_there\naddons = []\n",
    "no Python": "class HeaderInjection(:\n",
    "async configure": "from codemie_core.addon import Addon\n"
    "class HeaderInjection(Addon, priority=20):\n    async def configure(self, updated): ...\n"
    "addons = [HeaderInjection()]\n",
    "no list of addons": "x = 1\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_open_addon_that_cannot_be_imported_is_left_out_and_shown(what: str, copied: Path) -> None:
    (copied / "header_injection.py").write_text(BROKEN[what])
    is_left_out("header_injection", copied)


def test_an_open_addon_that_is_not_there_is_left_out_and_shown(copied: Path) -> None:
    """By a name of its own: an installed bundle would stand in for a file that is missing here."""
    bundle = copied / "codemie.py"
    bundle.write_text(bundle.read_text().replace('"header_injection"', '"no_such_addon"'))
    is_left_out("no_such_addon", copied)


def is_left_out(name: str, copied: Path) -> None:
    with Mitmproxy("--mode", "reverse:http://127.0.0.1:9", scripts=(copied / "codemie.py",)) as proxy:
        proxy.wait_for_log(WITHOUT_INJECTION)
        health = proxy.health()
    assert health["status"] == "degraded"
    [failed] = [addon for addon in health["addons"] if addon["state"] == "failed"]
    assert failed["name"] == name
    assert failed["error"]
    [line] = [line for line in proxy.lines if "cannot be loaded" in line]
    assert name in line
    assert "left out" in line
    assert "Traceback" not in proxy.log


def test_an_addon_whose_settings_cannot_become_options_is_left_out_and_shown(copied: Path) -> None:
    (copied / "header_injection.py").write_text(
        "from codemie_core.addon import Addon, AddonSettings\n"
        "class HeaderInjection(Addon, priority=20):\n"
        "    class Settings(AddonSettings):\n        share: float = 0.5\n"
        "    def request(self, flow): raise RuntimeError('must not be called')\n"
        "addons = [HeaderInjection()]\n"
    )
    with Mitmproxy("--mode", "reverse:http://127.0.0.1:9", scripts=(copied / "codemie.py",)) as proxy:
        proxy.wait_for_log(WITHOUT_INJECTION)
        [failed] = [addon for addon in proxy.health()["addons"] if addon["state"] == "failed"]
    assert failed["name"] == "header_injection"
    assert failed["mishaps"] == {"load": 1}
    assert "codemie_header_injection_share" in failed["error"]


@pytest.mark.parametrize("what", ["raises", "no Python"])
def test_a_closed_addon_that_cannot_be_imported_stops_the_start_with_one_line(what: str, copied: Path) -> None:
    (copied / "header_injection.py").write_text(BROKEN[what])
    bundle = copied / "codemie.py"
    listed = re.sub(r'("header_injection",\s*)"open"', r'\1"closed"', bundle.read_text())
    bundle.write_text(listed)
    code, printed = failing_start(scripts=(bundle,))
    assert code == 1
    assert "Traceback" not in printed
    [line] = [line for line in printed.splitlines() if "header_injection" in line]
    assert "no request may pass without it" in line
    assert "is running" not in printed


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmproxy]:
    """A proxy in regular mode with an addon that fails closed."""
    options = {**FAST, "codemie_hosts": "127.0.0.1"}
    scripts = (BUNDLE, refusing.SCRIPT)
    with shared_proxy(tmp_path_factory.mktemp("guarded"), scripts=scripts, options=options) as proxy:
        yield proxy


SHAPES = {
    "/v1/messages": lambda body: body["type"] == "error" and body["error"]["message"],
    "/v1/chat/completions": lambda body: body["error"]["code"] and body["error"]["message"],
    "/v1beta/models/gemini:generateContent": lambda body: body["error"]["status"] and body["error"]["message"],
    "/v1/metrics": lambda body: json.dumps(body),
}


@pytest.mark.parametrize("hook", ["requestheaders", "request", "upstream_response", "upstream_failed"])
@pytest.mark.parametrize("path", SHAPES)
async def test_an_addon_that_fails_closed_answers_in_the_shape_of_the_api(
    hook: str, path: str, guarded: Mitmproxy
) -> None:
    async with Upstream() as upstream:
        upstream.script(then=Step(status=503 if hook == "upstream_failed" else 200))
        async with httpx.AsyncClient(proxy=guarded.url) as client:
            answer = await client.post(upstream.url + path, headers={"x-raise": hook}, json={"stream": True})
        asked = upstream.request_count
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/json"
    assert "refusing" in SHAPES[path](answer.json())
    request_id = answer.headers["x-codemie-request-id"]
    assert request_id in answer.text
    assert asked == (0 if hook.startswith("request") else 1)


@pytest.mark.parametrize("hook", ["responseheaders", "response"])
async def test_from_the_response_head_on_an_addon_that_fails_closed_is_open(hook: str, guarded: Mitmproxy) -> None:
    async with Upstream() as upstream:
        upstream.script(Step(events=EVENTS))
        async with httpx.AsyncClient(proxy=guarded.url) as client:
            answer = await client.post(f"{upstream.url}/v1/messages", headers={"x-raise": hook}, json={"stream": True})
    assert answer.status_code == 200
    assert answer.content == b"".join(EVENTS)


async def test_an_addon_that_fails_closed_is_named_once_in_the_log(guarded: Mitmproxy) -> None:
    async with httpx.AsyncClient(proxy=guarded.url) as client:
        for _ in range(2):
            answer = await client.post("http://127.0.0.1:9/v1/messages", headers={"x-raise": "request"}, json={})
            assert answer.status_code == 502
    guarded.wait_for_log("refusing failed in request:")
    lines = [line for line in guarded.lines if "refusing failed in request:" in line]
    assert len(lines) == 1
