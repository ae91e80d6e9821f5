"""Keep-alives through a real mitmdump: a silent stream stays open, and no client takes the frames for content."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import COMMENT, PING, sse
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support import recorder
from support.clients import Http1, Http2
from support.proxy import BUNDLE, Mitmproxy
from support.raw_client import raw_client
from support.shared import shared_proxy

PERIOD = "100ms"
PATIENCE = 60.0
EVENTS = [sse('{"type": "message_start"}', "message_start"), sse('{"type": "message_stop"}', "message_stop")]


@pytest.fixture(scope="module")
def upstream_port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorder") / "exchanges.jsonl"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream_port: int, record: Path) -> Iterator[Mitmproxy]:
    options = {"codemie_upstream_attempts_keepalive": PERIOD}
    home, scripts = tmp_path_factory.mktemp("home"), (BUNDLE, recorder.SCRIPT)
    mode = ("--mode", f"reverse:http://127.0.0.1:{upstream_port}")
    with shared_proxy(home, *mode, scripts=scripts, options=options, env=recorder.env(record)) as running:
        yield running


@pytest.fixture
async def upstream(upstream_port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=upstream_port) as running:
        yield running


@pytest.mark.parametrize(
    "path, frame",
    [("/v1/messages", PING), ("/v1/chat/completions", COMMENT), ("/v1/responses", COMMENT)],
)
async def test_a_silent_stream_gets_frames_and_goes_on_untouched(
    upstream: Upstream, proxy: Mitmproxy, record: Path, path: str, frame: bytes
) -> None:
    gate, before = upstream.gate(), len(recorder.records(record))
    upstream.script(Step(gate=gate, events=EVENTS))
    async with raw_client(proxy.port) as client:
        await client.ask(path, stream=True)
        chunk = b"%x\r\n%s\r\n" % (len(frame), frame)
        await client.until(EVENTS[0] + b"\r\n" + chunk + chunk)
        gate.open()
        rest = await client.until(b"0\r\n\r\n")
    assert rest.replace(chunk, b"") == b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENTS[1]), EVENTS[1])
    done = await asyncio.to_thread(recorder.wait_for_records, record, before + 1)
    assert (done[-1]["terminal"], done[-1]["response_bytes"]) == ("complete", len(b"".join(EVENTS)))


async def test_a_compressed_stream_gets_none(upstream: Upstream, proxy: Mitmproxy) -> None:
    upstream.script(Step(gate=(gate := upstream.gate()), events=EVENTS, encoding="gzip"))
    async with raw_client(proxy.port) as client, silence(proxy, upstream) as over:
        await client.ask(stream=True)
        await upstream.wait_until(lambda: upstream.events_sent == 1)
        await over()
        gate.open()
        head, _, body = (await client.until(b"\r\n0\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert gzip.decompress(dechunked(body)) == b"".join(EVENTS)


def dechunked(body: bytes) -> bytes:
    """The content of a chunked body."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        content += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return content


async def test_an_http2_client_gets_them_too(upstream: Upstream, proxy: Mitmproxy) -> None:
    gate = upstream.gate()
    upstream.script(Step(gate=gate, events=EVENTS))
    tls = ssl.create_default_context(cafile=str(proxy.confdir / "mitmproxy-ca-cert.pem"))
    tls.set_alpn_protocols(["h2"])
    async with Http2(proxy.port, tls) as client:
        body = b'{"stream": true}'
        stream = await client.send("POST", "/v1/messages", [("content-type", "application/json")], body)
        await client.wait(lambda: client.answers[stream].body.count(PING) >= 2, PATIENCE)
        gate.open()
        answer = await client.answer(stream)
    assert answer.ended == "complete"
    assert answer.body.replace(PING, b"") == b"".join(EVENTS)


async def test_a_plain_answer_that_is_late_gets_none(upstream: Upstream, proxy: Mitmproxy) -> None:
    upstream.script(Step(body=b'{"ok": 1}', hold=(hold := upstream.gate())))
    async with Http1(proxy.port) as client, silence(proxy, upstream) as over:
        asking = asyncio.gather(client.ask("POST", "/v1/messages", (), b"{}"))
        await upstream.wait_until(lambda: len(upstream.requests) == 1)
        await over()
        hold.open()
        (answer,) = await asyncio.wait_for(asking, PATIENCE)
    assert (answer.status, answer.body) == (200, b'{"ok": 1}')


@asynccontextmanager
async def silence(proxy: Mitmproxy, upstream: Upstream) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Something to wait for while another stream gets keep-alives: a stream of our own, begun now, gets two."""
    async with raw_client(proxy.port) as clock:

        async def over() -> None:
            upstream.script(Step(gate=upstream.gate(), events=EVENTS))
            await clock.ask(stream=True)
            for _ in range(2):
                await clock.until(PING)

        yield over


async def test_the_anthropic_sdk_reads_on_after_a_silence(upstream: Upstream, proxy: Mitmproxy) -> None:
    gate = upstream.gate()
    upstream.script(Step(gate=gate, text="one two three", events=3))
    kinds, text = [], ""
    async with (
        asyncio.timeout(PATIENCE),
        anthropic.AsyncAnthropic(base_url=proxy.url, api_key="fake", max_retries=0) as client,
        silence(proxy, upstream) as over,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]) as stream,
    ):
        async for event in stream:
            kinds.append(event.type)
            if event.type == "message_start":
                await over()
                gate.open()
        text = await stream.get_final_text()
    assert text == "one two three"
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


async def test_the_openai_sdk_reads_on_after_a_silence(upstream: Upstream, proxy: Mitmproxy) -> None:
    gate = upstream.gate()
    upstream.script(Step(gate=gate, text="one two three", events=3))
    text = ""
    async with (
        asyncio.timeout(PATIENCE),
        openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="fake", max_retries=0) as client,
        silence(proxy, upstream) as over,
    ):
        chunks = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        first = True
        async for chunk in chunks:
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            if first:
                await over()
                gate.open()
                first = False
    assert text == "one two three"
