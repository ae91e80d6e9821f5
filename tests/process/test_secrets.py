"""Secrets stay where they belong: what clients send is repeated nowhere, what the bundle attaches is kept nowhere.

The proxies print what they do by default, mitmdump's line for each flow included.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from mitmproxy import http, io

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import attaching
from support.clients import Answer, Headers, Http1
from support.proxy import BUNDLE, Mitmproxy
from support.websocket import WebSocketClient

# None has a shape that redaction would know by itself.
PLANTED = {
    "authorization": "planted-authorization-1a",
    "x-api-key": "planted-x-api-key-2b",
    "x-goog-api-key": "planted-goog-key-3c",
    "proxy-authorization": "planted-proxy-auth-4d",
    "cookie": "planted-cookie-5e",
    "query": "planted-query-6f",
    "body": "planted-body-7a",
}
ATTACHED, ELSEWHERE = "attached-secret-8b", "elsewhere-secret-9c"
HEADERS: Headers = [
    ("authorization", f"Bearer {PLANTED['authorization']}"),
    ("x-api-key", PLANTED["x-api-key"]),
    ("x-goog-api-key", PLANTED["x-goog-api-key"]),
    ("proxy-authorization", f"Basic {PLANTED['proxy-authorization']}"),
    ("cookie", f"theme=dark; session={PLANTED['cookie']}"),
    ("content-type", "application/json"),
]
PATH = f"/v1/messages?beta=true&key={PLANTED['query']}"
# The body names the user, so that the bundle parses it in search of the conversation.
BODY = json.dumps({"model": "m", "stream": True, "metadata": {"user_id": PLANTED["body"]}}).encode()
EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(3)]
# What does not stream may take as long as it likes.
UNHURRIED = BODY.replace(b'"stream": true', b'"stream": false')
OPTIONS = {
    "flow_detail": 1,
    "termlog_verbosity": "debug",
    "codemie_upstream_attempts_backoff": "1ms",
    "codemie_upstream_attempts_max_request_size": "1m",
}
IMPATIENT = {"codemie_upstream_attempts_first_byte_timeout": "300ms"}


@dataclass
class Room:
    """A proxy between a client full of secrets and an upstream."""

    proxy: Mitmproxy
    upstream: Upstream
    saved: Path

    async def ask(self, path: str = PATH, body: bytes = BODY) -> Answer:
        async with Http1(self.proxy.port) as client:
            return await client.ask("POST", path, HEADERS, body)

    def flows(self) -> list[http.HTTPFlow]:
        """What `-w` saved."""
        with self.saved.open("rb") as file:
            return [flow for flow in io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]


@asynccontextmanager
async def room(tmp_path: Path, *args: str, tool: str = "mitmdump", **options: str) -> AsyncIterator[Room]:
    saved = tmp_path / "flows"
    async with Upstream() as upstream:
        env = attaching.env(upstream.port, ATTACHED, ELSEWHERE)
        args = ("--mode", f"reverse:{upstream.url}", "-w", str(saved), *args)
        scripts = (BUNDLE, attaching.SCRIPT)
        with Mitmproxy(*args, tool=tool, scripts=scripts, env=env, options=OPTIONS | options) as proxy:
            yield Room(proxy, upstream, saved)


def secrets_in(text: str) -> list[str]:
    """The planted and attached values that occur in it."""
    return [value for value in (*PLANTED.values(), ATTACHED, ELSEWHERE) if value in text]


FAILURES = {
    "refused by the upstream": Step(status=401, body='{"error": {"type": "authentication_error"}}'),
    "empty 500": Step(status=500, body=b""),
    "HTML 502": Step(status=502, body="<html>no</html>", headers=(("content-type", "text/html"),)),
    "reset": Step(cut=Cut.RESET),
    "never answers": Step(cut=Cut.STALL),
    "garbage": Step(raw=b"\x00garbage\r\n\r\n"),
    "error event": Step(error_event=True),
    "cut in the middle": Step(events=EVENTS, cut=Cut.RESET, after_events=1),
}


async def test_what_clients_send_appears_in_nothing_the_bundle_emits(tmp_path: Path, codemie_home: Path) -> None:
    async with room(tmp_path, **IMPATIENT) as here:
        for step in FAILURES.values():
            here.upstream.script(then=step)
            assert secrets_in(str(await here.ask())) == []
        here.upstream.script()
        assert (await here.ask(body=UNHURRIED)).status == 200
        assert (await here.ask(body=b"x" * 2**20 + BODY)).status == 413
        async with Http1(here.proxy.port) as client:
            # The line at fault itself stands in a log line of mitmproxy's.
            fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)
            await client.write(f"POST {PATH} HTTP/1.1\r\n{fields}without colon\r\n\r\n".encode())
            malformed = await client.read(await client.head())
        assert malformed.status == 400
        assert secrets_in(str(malformed)) == []
        health = here.proxy.health()
        [entry] = codemie_home.glob("proxy/run/*.json")
        assert secrets_in(entry.read_text()) == []
        here.proxy.stop()
    assert secrets_in(json.dumps(health)) == []
    complaining = next(addon for addon in health["addons"] if addon["name"] == "complaining")
    assert set(complaining["mishaps"]) == {"requestheaders", "request", "responseheaders", "exchange_done"}
    assert len([line for line in here.proxy.lines if "complaining failed in" in line]) == 4
    assert secrets_in(here.proxy.log) == []
    for flow in here.flows():
        assert secrets_in(json.dumps(flow.metadata)) == []
        assert secrets_in(flow.comment) == []
        assert secrets_in(str(flow.error)) == []


@pytest.mark.parametrize("steps", [[Step(events=EVENTS)], [Step(status=503), Step(events=EVENTS)]], ids=["one", "two"])
async def test_what_the_bundle_attaches_reaches_each_attempt_and_no_saved_flow(
    steps: list[Step], tmp_path: Path
) -> None:
    async with room(tmp_path) as here:
        here.upstream.script(*steps)
        answer = await here.ask()
        assert answer.body == b"".join(EVENTS)
        assert len(here.upstream.requests) == len(steps)
        for request in here.upstream.requests:
            assert [v for k, v in request.headers if k.lower() == "authorization"] == [f"Bearer {ATTACHED}"]
            # What the credential replaces is gone on the wire, and so is what was meant for us.
            assert {"x-api-key", "x-goog-api-key", "cookie", "proxy-authorization"}.isdisjoint(
                name.lower() for name, _ in request.headers
            )
            # What belongs to another host is held back.
            assert request.header("x-elsewhere") is None
            assert ELSEWHERE not in str(request.headers)
        here.proxy.stop()
    raw = here.saved.read_bytes()
    assert ATTACHED.encode() not in raw
    assert ELSEWHERE.encode() not in raw
    [flow] = here.flows()
    kept = [pair for pair in flow.request.headers.items(multi=True) if pair[0] in dict(HEADERS)]
    assert kept == list(HEADERS)
    assert flow.request.path == PATH
    assert flow.request.content == BODY


async def test_a_credential_does_not_leave_the_paths_it_is_for(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.ask("/other/messages")
        [request] = here.upstream.requests
        assert request.header("authorization") == f"Bearer {PLANTED['authorization']}"
        assert request.header("x-api-key") == PLANTED["x-api-key"]
        assert ATTACHED not in str(request.headers)


async def test_a_websocket_handshake_carries_the_credential_and_no_saved_flow_does(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        async with WebSocketClient(here.proxy.port, "/v1/responses") as socket:
            await socket.say('{"type": "response.create"}')
            await socket.hear()
        assert here.upstream.requests[-1].header("authorization") == f"Bearer {ATTACHED}"
        here.proxy.stop()
    assert ATTACHED.encode() not in here.saved.read_bytes()


async def test_mitmweb_shows_nothing_of_what_the_bundle_attaches(tmp_path: Path) -> None:
    port = closed_port()
    async with room(tmp_path, "--web-port", str(port), tool="mitmweb") as here:
        assert (await here.ask()).status == 200
        assert here.upstream.requests[-1].header("authorization") == f"Bearer {ATTACHED}"
        headers = {"authorization": "Bearer test"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as web:
            flows = (await web.get("/flows")).text
            told = [(await web.get(page)).text for page in ("/options", "/events", "/state", "/flows/dump")]
            [flow] = json.loads(flows)
    assert flow["request"]["path"] == PATH
    for text in (flows, *told):
        assert ATTACHED not in text
        assert ELSEWHERE not in text
    assert secrets_in(told[0]) == secrets_in(told[1]) == []


OUTBOUND = "planted-outbound-pass-1d"


@contextmanager
def behind_an_outbound_proxy(tmp_path: Path, upstream: str) -> Iterator[Mitmproxy]:
    env = {"HTTPS_PROXY": f"http://someone:{OUTBOUND}@127.0.0.1:{closed_port()}"}
    with Mitmproxy("--mode", f"reverse:{upstream}", "-w", str(tmp_path / "flows"), env=env, options=OPTIONS) as proxy:
        yield proxy


async def test_the_password_of_an_outbound_proxy_is_told_to_nobody(tmp_path: Path, codemie_home: Path) -> None:
    with behind_an_outbound_proxy(tmp_path, "https://api.example.com") as proxy:
        async with Http1(proxy.port) as client:
            answer = await client.ask("POST", "/v1/messages", body=BODY)
        [entry] = codemie_home.glob("proxy/run/*.json")
        told = [str(answer), entry.read_text(), json.dumps(proxy.health())]
        proxy.stop()
    assert answer.status == 502
    for text in (*told, proxy.log, (tmp_path / "flows").read_bytes().decode("latin-1")):
        assert OUTBOUND not in text
