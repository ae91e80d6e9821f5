"""Reverse and regular mode, TLS and both HTTP versions on both sides, and the way out through another proxy."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anthropic
import httpx
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import certificates
from support.certificates import Authority, ca_of
from support.clients import Answer, Http1, Http2
from support.proxy import Mitmproxy, reverse
from support.shared import shared_proxy

EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(4)]
ASK = json.dumps({"model": "m", "stream": True}).encode()
JSON = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")]
QUICK = {"codemie_upstream_attempts_backoff": "5ms"}
PATIENCE = 60.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Mitmproxy]:
    """Acts on localhost and on nothing else: 127.0.0.1 is any other host, though one that is decrypted."""
    options = {
        "codemie_hosts": ["localhost", "upstream.test"],
        "codemie_tls_interception_hosts": "127.0.0.1",
        "codemie_upstream_attempts_ca_file": authority.pem,
    }
    with shared_proxy(tmp_path_factory.mktemp("regular"), options=options | QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def tls_reverse(tmp_path_factory: pytest.TempPathFactory, authority: Authority, tls_port: int) -> Iterator[Mitmproxy]:
    options = {"codemie_upstream_attempts_ca_file": authority.pem} | QUICK
    home = tmp_path_factory.mktemp("reverse")
    with shared_proxy(home, "--mode", f"reverse:https://localhost:{tls_port}", options=options) as running:
        yield running


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[Upstream]:
    async with Upstream(authority.server()) as running:
        yield running


def through(proxy: Mitmproxy) -> httpx.AsyncClient:
    """A client that goes through a proxy in regular mode and trusts the certificates it makes."""
    return httpx.AsyncClient(proxy=proxy.url, verify=certificates.client(ca_of(proxy.confdir)), trust_env=False)


async def test_an_sdk_streams_through_https_proxy_with_every_certificate_checked(
    secure: Upstream, regular: Mitmproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", regular.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_of(regular.confdir)))
    gate = secure.gate()
    secure.script(Step(text="one two", events=2, gate=gate))
    sent = []
    async with (
        asyncio.timeout(PATIENCE),
        anthropic.AsyncAnthropic(base_url=f"https://localhost:{secure.port}", api_key="fake", max_retries=0) as client,
    ):
        stream = await client.messages.create(
            model="m",
            max_tokens=9,
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
        )
        async for event in stream:
            sent.append(secure.requests[0].sent_events)
            # The SDK keeps the ping that follows the start of the block to itself.
            gate.release(2 if event.type == "content_block_start" else 1)
    assert sent == [1, 2, 4, 5, 6, 7, 8]


async def test_regular_mode_tries_an_overloaded_model_api_again(secure: Upstream, regular: Mitmproxy) -> None:
    secure.script(Step(status=529), Step(body='{"fine": true}'))
    async with through(regular) as client:
        answer = await client.post(f"https://localhost:{secure.port}/v1/messages", json={})
    assert (answer.status_code, answer.json()) == (200, {"fine": True})
    assert secure.request_count == 2


async def test_an_untrusted_upstream_certificate_becomes_a_json_error_that_names_it(
    regular: Mitmproxy, tmp_path: Path
) -> None:
    async with Upstream(Authority(tmp_path).server()) as stranger, through(regular) as client:
        claude = await client.post(f"https://localhost:{stranger.port}/v1/messages", json={})
        gpt = await client.post(f"https://localhost:{stranger.port}/v1/chat/completions", json={})
        assert stranger.request_count == 0
    for answer in (claude, gpt):
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/json"
        assert "certificate" in answer.json()["error"]["message"].lower()
    assert claude.json()["type"] == "error"
    assert "type" not in gpt.json()


async def test_a_host_out_of_scope_passes_untouched(secure: Upstream, regular: Mitmproxy) -> None:
    page = b"<html><body>503: back soon</body></html>"
    headers = [("Content-Type", "text/html"), ("X-Odd", "one"), ("x-odd", "two")]
    secure.script(then=Step(status=503, body=page, headers=headers))
    async with through(regular) as client:
        answer = await client.post(
            f"https://127.0.0.1:{secure.port}/v1/messages", json={}, headers={"X-CodeMie-Anything": "the client's own"}
        )
    assert (answer.status_code, answer.content) == (503, page)
    assert answer.headers.get_list("x-odd") == ["one", "two"]
    assert not any(name.lower().startswith("x-codemie") for name, _ in answer.headers.items())
    assert secure.request_count == 1
    ours = [pair for pair in secure.requests[0].headers if pair[0].lower().startswith("x-codemie")]
    assert ours == [("X-CodeMie-Anything", "the client's own")]


@pytest.mark.parametrize(("host", "in_scope"), [("127.0.0.1", False), ("localhost", True)])
async def test_a_request_body_streams_only_where_nothing_is_tried_again(
    secure: Upstream, regular: Mitmproxy, host: str, in_scope: bool
) -> None:
    rest = asyncio.Event()

    async def halves() -> AsyncIterator[bytes]:
        yield b"first half,"
        await rest.wait()
        yield b" second half"

    async with through(regular) as client, asyncio.TaskGroup() as group:
        url = f"https://{host}:{secure.port}/v1/messages"
        answer = group.create_task(client.post(url, content=halves()))
        if in_scope:
            # A whole request, there and back, after the first half has left the client.
            await client.post(url, content=b"barrier")
            assert [request.body for request in secure.requests] == [b"barrier"]
        else:
            await secure.wait_until(lambda: secure.request_count == 1, PATIENCE)
            assert not secure.requests[0].complete
        rest.set()
        assert (await answer).status_code == 200
    assert secure.requests[-1].body == b"first half, second half"


@pytest.mark.parametrize("to_upstream", ["1.1", "2"])
@pytest.mark.parametrize("from_client", ["1.1", "2"])
async def test_each_event_arrives_before_the_next_is_sent_in_any_pair_of_versions(
    authority: Authority, tls_reverse: Mitmproxy, tls_port: int, from_client: str, to_upstream: str
) -> None:
    # mitmproxy offers the upstream what the client offered, so an HTTP/1.1 client must know HTTP/2 and like it less.
    offers = ("h2", "http/1.1") if from_client == "2" else ("http/1.1", "h2")
    tls = certificates.client(ca_of(tls_reverse.confdir), *offers)
    async with (
        asyncio.timeout(PATIENCE),
        Upstream(authority.server(), port=tls_port, http2=to_upstream == "2") as upstream,
    ):
        gate = upstream.gate()
        upstream.script(Step(events=EVENTS, gate=gate))
        sent: list[int] = []
        async for body in _events(tls_reverse.port, tls, from_client):
            if body.endswith(b"".join(EVENTS[: len(sent) + 1])):
                sent.append(upstream.events_sent)
                gate.release()
        assert body == b"".join(EVENTS)
        assert sent == [1, 2, 3, 4]
        assert upstream.requests[0].http_version == to_upstream


@pytest.mark.parametrize("how", [Cut.RESET, Cut.GOAWAY, Cut.DROP])
async def test_a_stream_cut_by_an_http2_upstream_is_a_cut_for_an_http1_client(
    authority: Authority, tls_reverse: Mitmproxy, tls_port: int, how: Cut
) -> None:
    tls = certificates.client(ca_of(tls_reverse.confdir), "http/1.1", "h2")
    async with (
        Upstream(authority.server(), port=tls_port) as upstream,
        Http1(tls_reverse.port, tls) as client,
    ):
        gate = upstream.gate()
        upstream.script(Step(events=EVENTS, cut=how, after_events=2, gate=gate))
        await client.send("POST", "/v1/messages", JSON, ASK)
        head = await client.head()
        # Before there is a head, a cut is a failed attempt and repaired.
        gate.release()
        answer = await client.read(head)
    assert answer.ended == "cut"
    sent = b"".join(EVENTS[:2])
    # A connection that is dropped takes along what nobody has read yet.
    assert sent.startswith(answer.body) if how is Cut.DROP else answer.body == sent


async def _events(port: int, tls: ssl.SSLContext, version: str) -> AsyncIterator[bytes]:
    """The body so far, each time there is more of it."""
    if version == "2":
        async with Http2(port, tls) as client:
            stream = await client.send("POST", "/v1/messages", JSON, ASK)
            answer, had = client.answers[stream], 0
            while True:
                await client.wait(partial(_has_news, answer, had))
                if len(answer.body) == had:
                    break
                had = len(answer.body)
                yield answer.body
    else:
        async with Http1(port, tls) as client1:
            await client1.send("POST", "/v1/messages", JSON, ASK)
            chunked = (await client1.head()).header("transfer-encoding") == "chunked"
            body = b""
            while data := await (client1.chunk() if chunked else client1.reader.read(65536)):
                body += data
                yield body


def _has_news(answer: Answer, had: int) -> bool:
    return len(answer.body) > had or answer.ended == "complete"


STREAMS = 50


async def test_fifty_streams_of_one_http2_client_start_at_once_before_an_http1_upstream(
    authority: Authority, tls_reverse: Mitmproxy, tls_port: int
) -> None:
    tls = certificates.client(ca_of(tls_reverse.confdir), "h2")
    async with (
        Upstream(authority.server(), port=tls_port, http2=False) as upstream,
        Http2(tls_reverse.port, tls) as client,
    ):
        hold = upstream.gate()
        upstream.script(then=Step(hold=hold, events=EVENTS))
        streams = [await client.send("POST", "/v1/messages", JSON, ASK) for _ in range(STREAMS)]
        await upstream.wait_requests(STREAMS, PATIENCE)
        assert upstream.finished == 0
        hold.open()
        answers = [await client.answer(stream) for stream in streams]
    assert {(answer.status, answer.body, answer.ended) for answer in answers} == {(200, b"".join(EVENTS), "complete")}


async def test_the_number_of_upstream_connections_is_bounded_by_its_setting(
    authority: Authority, tls_port: int
) -> None:
    """Also the counter-test of the one above: mitmproxy alone allows five."""
    options = {
        "codemie_upstream_attempts_ca_file": authority.pem,
        "codemie_upstream_attempts_max_connections": 5,
    }
    async with Upstream(authority.server(), port=tls_port, http2=False) as upstream:
        with reverse(f"https://localhost:{tls_port}", options=options) as proxy:
            tls = certificates.client(ca_of(proxy.confdir), "h2")
            async with Http2(proxy.port, tls) as client:
                hold = upstream.gate()
                upstream.script(then=Step(hold=hold, events=EVENTS))
                streams = [await client.send("POST", "/v1/messages", JSON, ASK) for _ in range(STREAMS)]
                await upstream.wait_requests(5, PATIENCE)
                async with Http1(proxy.port, certificates.client(ca_of(proxy.confdir))) as other:
                    # Another client has its own five, and its answer shows that the proxy was not merely slow.
                    await other.send("POST", "/v1/messages", JSON, ASK)
                    await upstream.wait_requests(6, PATIENCE)
                    assert upstream.request_count == 6
                    hold.open()
                    assert (await other.read(await other.head())).ended == "complete"
                assert {(await client.answer(stream)).ended for stream in streams} == {"complete"}
    assert upstream.request_count == STREAMS + 1


async def test_a_target_with_a_path_gets_every_request_below_it() -> None:
    async with Upstream(prefix="/code-assistant-api") as upstream:
        options = {"codemie_upstream_attempts_target_path": "/code-assistant-api"}
        with reverse(f"http://127.0.0.1:{upstream.port}", options=options) as proxy:
            async with httpx.AsyncClient(trust_env=False) as client:
                for path in ("/v1/messages?beta=true", "/code-assistant-api/v1/messages"):
                    answer = await client.post(f"{proxy.url}{path}", json={"model": "m"})
                    assert answer.json()["model"] == "m"
                upstream.script(Step(status=503), Step(status=503))
                again = await client.post(f"{proxy.url}/v1/models", json={})
    assert [request.target for request in upstream.requests] == [
        "/code-assistant-api/v1/messages?beta=true",
        "/code-assistant-api/v1/messages",
        *["/code-assistant-api/v1/models"] * 3,
    ]
    assert again.status_code == 404
