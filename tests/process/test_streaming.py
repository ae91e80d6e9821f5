"""True streaming through a real mitmdump: every event reaches the client before the upstream has sent the next."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anthropic
import brotli  # type: ignore[import-untyped]  # ships no type information
import httpx
import openai
import pytest
import zstandard
from anthropic.types import MessageParam, RawContentBlockDeltaEvent, TextDelta
from openai.types.chat import ChatCompletionMessageParam

from codemie_core.demo.absent import closed_port
from codemie_core.demo.encoding import encoder
from codemie_core.demo.frames import sse
from codemie_core.demo.gate import Gate
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support import onlooker
from support.proxy import BUNDLE, Mitmproxy, reverse
from support.raw_client import RawClient, raw_client
from support.shared import shared_proxy

EVENTS = [sse(f'{{"n": {n}, "text": "Grüße, 世界"}}', "content_block_delta") for n in range(6)]
PATIENCE = 60.0
TO_CLAUDE: list[MessageParam] = [{"role": "user", "content": "Hello"}]
TO_GPT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def upstream_port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an observer of the observed proxy has seen."""
    return tmp_path_factory.mktemp("onlooker") / "seen"


@pytest.fixture(scope="module")
def plain_proxy(tmp_path_factory: pytest.TempPathFactory, upstream_port: int) -> Iterator[Mitmproxy]:
    mode = f"reverse:http://127.0.0.1:{upstream_port}"
    with shared_proxy(tmp_path_factory.mktemp("plain"), "--mode", mode) as running:
        yield running


@pytest.fixture(scope="module")
def observed_proxy(tmp_path_factory: pytest.TempPathFactory, upstream_port: int, seen: Path) -> Iterator[Mitmproxy]:
    mode = f"reverse:http://127.0.0.1:{upstream_port}"
    scripts = (BUNDLE, onlooker.SCRIPT)
    home = tmp_path_factory.mktemp("observed")
    with shared_proxy(home, "--mode", mode, scripts=scripts, env=onlooker.env(seen)) as running:
        yield running


@pytest.fixture(params=["unobserved", "observed"])
def proxy(request: pytest.FixtureRequest, seen: Path) -> Mitmproxy:
    seen.unlink(missing_ok=True)
    name = "observed_proxy" if request.param == "observed" else "plain_proxy"
    running: Mitmproxy = request.getfixturevalue(name)
    return running


@pytest.fixture
async def upstream(upstream_port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=upstream_port) as running:
        yield running


class Pace:
    """Lets the upstream send one more event only when the client holds the last one."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._allowed = 1
        self.gate: Gate = upstream.gate()

    def arrived(self, permits: int = 1) -> None:
        """The client holds all that was allowed so far; `permits` more events may come."""
        assert self._upstream.requests[-1].sent_events == self._allowed
        self._allowed += permits
        self.gate.release(permits)


async def test_anthropic_sdk_holds_each_event_before_the_next_is_sent(upstream: Upstream, proxy: Mitmproxy) -> None:
    pace = Pace(upstream)
    upstream.script(Step(gate=pace.gate, text="one two three", events=3))
    kinds = []
    async with (
        asyncio.timeout(PATIENCE),
        anthropic.AsyncAnthropic(base_url=proxy.url, api_key="fake", max_retries=0) as client,
    ):
        stream = await client.messages.create(model="m", max_tokens=9, messages=TO_CLAUDE, stream=True)
        async for event in stream:
            kinds.append(event.type)
            # The SDK keeps the ping that follows the start of the block to itself.
            pace.arrived(2 if event.type == "content_block_start" else 1)
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds.count("content_block_delta") == 3
    assert kinds[-1] == "message_stop"
    assert upstream.requests[-1].finished


async def test_openai_sdk_holds_each_chat_chunk_before_the_next_is_sent(upstream: Upstream, proxy: Mitmproxy) -> None:
    pace = Pace(upstream)
    upstream.script(Step(gate=pace.gate, text="one two three", events=3))
    text = ""
    async with (
        asyncio.timeout(PATIENCE),
        openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="fake", max_retries=0) as client,
    ):
        chunks = await client.chat.completions.create(model="m", messages=TO_GPT, stream=True)
        async for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
            pace.arrived()
    assert text == "one two three"


async def test_openai_sdk_holds_each_response_event_before_the_next_is_sent(
    upstream: Upstream, proxy: Mitmproxy
) -> None:
    pace = Pace(upstream)
    upstream.script(Step(gate=pace.gate, text="one two three", events=3))
    kinds = []
    async with (
        asyncio.timeout(PATIENCE),
        openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="fake", max_retries=0) as client,
    ):
        async for event in await client.responses.create(model="m", input="Hello", stream=True):
            kinds.append(event.type)
            if event.type != "response.completed":
                pace.arrived()
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == 3
    assert kinds[-1] == "response.completed"


async def test_sdks_that_do_not_stream_get_their_answers(upstream: Upstream, proxy: Mitmproxy) -> None:
    upstream.script(then=Step(text="whole"))
    async with (
        asyncio.timeout(PATIENCE),
        anthropic.AsyncAnthropic(base_url=proxy.url, api_key="fake", max_retries=0) as claude,
        openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="fake", max_retries=0) as gpt,
    ):
        message = await claude.messages.create(model="m", max_tokens=9, messages=TO_CLAUDE)
        chat = await gpt.chat.completions.create(model="m", messages=TO_GPT)
        response = await gpt.responses.create(model="m", input="Hello")
    assert message.content[0].type == "text"
    assert [message.content[0].text, chat.choices[0].message.content, response.output_text] == ["whole"] * 3


async def test_blocking_sdks_stream_as_well(upstream: Upstream, proxy: Mitmproxy) -> None:
    pace = Pace(upstream)
    upstream.script(Step(gate=pace.gate, text="one two", events=2))
    loop = asyncio.get_running_loop()

    def ask() -> str:
        text = ""
        with (
            anthropic.Anthropic(base_url=proxy.url, api_key="fake", max_retries=0, timeout=PATIENCE) as client,
            client.messages.create(model="m", max_tokens=9, messages=TO_CLAUDE, stream=True) as stream,
        ):
            for event in stream:
                if isinstance(event, RawContentBlockDeltaEvent) and isinstance(event.delta, TextDelta):
                    text += event.delta.text
                permits = 2 if event.type == "content_block_start" else 1
                asyncio.run_coroutine_threadsafe(_arrived(pace, permits), loop).result(PATIENCE)
        return text

    assert await asyncio.to_thread(ask) == "one two"


async def _arrived(pace: Pace, permits: int) -> None:
    pace.arrived(permits)


DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "": lambda: bytes,
    "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress,
    "deflate": lambda: zlib.decompressobj().decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


@pytest.mark.parametrize("encoding", DECODERS)
async def test_each_event_can_be_decoded_before_the_next_is_sent(
    upstream: Upstream, proxy: Mitmproxy, seen: Path, encoding: str
) -> None:
    pace = Pace(upstream)
    upstream.script(Step(gate=pace.gate, events=EVENTS, encoding=encoding))
    decode = DECODERS[encoding]()
    raw, plain, held = b"", b"", 0
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("POST", f"{proxy.url}/v1/messages", json={"stream": True}) as response,
    ):
        assert response.headers.get("content-encoding", "") == encoding
        async for data in response.aiter_raw():
            raw += data
            plain += decode(data)
            while held < len(EVENTS) and plain.startswith(b"".join(EVENTS[: held + 1])):
                held += 1
                if held < len(EVENTS):
                    pace.arrived()
    codec = encoder(encoding)
    assert plain == b"".join(EVENTS)
    assert raw == b"".join(codec.event(event) for event in EVENTS) + codec.end()
    if seen.exists():
        assert seen.read_bytes() == plain


async def test_an_observer_sees_the_decoded_stream_though_its_neighbor_raises(
    upstream: Upstream, observed_proxy: Mitmproxy, seen: Path
) -> None:
    seen.unlink(missing_ok=True)
    upstream.script(Step(events=EVENTS, encoding="gzip"))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{observed_proxy.url}/v1/messages", json={"stream": True})
    assert answer.content == b"".join(EVENTS) == seen.read_bytes()


STEPS = {
    "stream": Step(events=EVENTS),
    "gzip": Step(events=EVENTS, encoding="gzip"),
    "split": Step(events=EVENTS, split=(1, 8, 40, 41, 95)),
    "json": Step(body='{"type": "message"}'),
    "client error": Step(status=400, headers=[("X-Request-Id", "req_1")], body='{"type": "error"}'),
    "json error": Step(status=500, body='{"type": "error"}'),
    "no body": Step(status=204, body=b""),
}


@pytest.mark.parametrize("case", STEPS)
async def test_the_whole_answer_is_byte_for_byte_what_the_upstream_sent(
    upstream: Upstream, proxy: Mitmproxy, case: str
) -> None:
    upstream.script(then=STEPS[case])
    wires = []
    for port in (upstream.port, proxy.port):
        async with raw_client(port) as client:
            await client.ask(stream=True)
            wires.append(await _whole(client))
    assert wires[1] == wires[0]


async def _whole(client: RawClient) -> bytes:
    head = await client.until(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        return head + await client.until(b"\r\n0\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length: ")
    return head + await asyncio.wait_for(client.reader.readexactly(int(length.split(b"\r\n")[0] or 0)), PATIENCE)


async def test_without_the_addon_no_byte_arrives_until_the_answer_is_complete(upstream: Upstream) -> None:
    """The counter-test: were the first event to arrive here too, the tests above would prove nothing."""
    gate = upstream.gate()
    upstream.script(Step(events=EVENTS, gate=gate), then=Step(body="{}"))
    with reverse(upstream.url, options={"codemie_disabled": "upstream_attempts"}) as proxy:
        async with (
            raw_client(proxy.port) as client,
            httpx.AsyncClient(trust_env=False) as other,
            asyncio.TaskGroup() as group,
        ):
            await client.ask(stream=True)
            head = group.create_task(client.until(b"\r\n\r\n"))
            await upstream.wait_until(lambda: upstream.events_sent == 1)
            for _ in range(3):
                # Each of these went all the way there and back after the event had left.
                await other.post(f"{proxy.url}/v1/messages", json={})
            assert not head.done()
            gate.open()
            assert b" 200 " in await head
