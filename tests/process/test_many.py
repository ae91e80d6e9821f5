"""Many at once, many in a row, big, slow, old and interrupted: what a proxy that runs for weeks meets."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.presets import preset
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import certificates, recorder
from support.certificates import Authority, ca_of
from support.clients import Answer, Http1, Http2
from support.proxy import ADDONS, BUNDLE, Mitmproxy, reverse
from support.shared import shared_proxy
from support.websocket import WebSocketClient

EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(4)]
BODY = b"".join(EVENTS)
ASK = json.dumps({"model": "m", "stream": True}).encode()
PATH = "/v1/messages"
MIB = 1024 * 1024
PATIENCE = 60.0


@pytest.fixture(scope="module")
def upstream_port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record") / "exchanges"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream_port: int, record: Path) -> Iterator[Mitmproxy]:
    """Every deadline is the default."""
    with shared_proxy(
        tmp_path_factory.mktemp("proxy"),
        *("--mode", f"reverse:http://127.0.0.1:{upstream_port}"),
        scripts=(BUNDLE, recorder.SCRIPT),
        options={"flow_detail": 0, "codemie_upstream_attempts_backoff": "2ms"},
        env=recorder.env(record),
        fresh=True,
    ) as running:
        yield running


@pytest.fixture
async def upstream(upstream_port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=upstream_port, keep=0) as running:
        yield running


@pytest.fixture
def fresh(record: Path) -> Path:
    """The record, empty."""
    record.unlink(missing_ok=True)
    return record


MANY = 200


async def test_two_hundred_streams_flow_at_once(upstream: Upstream, proxy: Mitmproxy, fresh: Path) -> None:
    gate = upstream.gate()
    upstream.script(then=Step(events=EVENTS, gate=gate))
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        clients = [await stack.enter_async_context(Http1(proxy.port)) for _ in range(MANY)]
        first = await asyncio.gather(*map(_with_first_chunk, clients))
        # Every client holds the first event, and no upstream has got further.
        assert [chunk for _, chunk in first] == [EVENTS[0]] * MANY
        assert upstream.events_sent == gate.waiting == MANY
        gate.open()
        whole = [await client.read(head) for client, (head, _) in zip(clients, first, strict=True)]
    assert {(answer.body, answer.ended) for answer in whole} == {(b"".join(EVENTS[1:]), "complete")}
    done = recorder.wait_for_records(fresh, MANY)
    assert {(one["terminal"], len(one["attempts"]), one["response_bytes"]) for one in done} == {
        ("complete", 1, len(BODY))
    }
    assert len({one["request_id"] for one in done}) == len(done) == MANY


async def _with_first_chunk(client: Http1) -> tuple[Answer, bytes]:
    await client.send("POST", PATH, body=ASK)
    head = await client.head()
    assert head.status == 200
    return head, await client.chunk()


FAULTS = {
    "overload": 529,
    "unavailable": 503,
    "rate-limit": 429,
    "server-error": 500,
    "html": 502,
    "empty": 502,
    "reset": 502,
    "close": 502,
    "garbage": 502,
    "huge-head": 502,
    "error-event": 200,
}


async def test_one_connection_serves_on_after_every_failure(upstream: Upstream, proxy: Mitmproxy, fresh: Path) -> None:
    async with Http1(proxy.port) as client:
        for fault, status in FAULTS.items():
            upstream.script(then=preset(fault))
            refused = await client.ask("POST", PATH, body=ASK)
            assert (refused.status, refused.ended) == (status, "complete"), fault
            upstream.script(then=Step(events=EVENTS))
            for _ in range(3):
                answer = await client.ask("POST", PATH, body=ASK)
                assert (answer.status, answer.body, answer.ended) == (200, BODY, "complete"), fault
    done = recorder.wait_for_records(fresh, 4 * len(FAULTS))
    assert [one["status"] for one in done[::4]] == list(FAULTS.values())
    # A 429 is an answer; what it means is for the addons that know about accounts.
    failed = [one["terminal"] for one in done[::4]]
    assert failed == ["complete" if fault == "rate-limit" else "upstream_error" for fault in FAULTS]
    assert {one["terminal"] for n, one in enumerate(done) if n % 4} == {"complete"}


ROUNDS, WORKERS = 1800, 6
REQUEST = b'{"model": "m", "input": "' + b"x" * 100_000 + b'"}'


async def test_memory_stays_flat_over_many_large_requests(upstream: Upstream, proxy: Mitmproxy) -> None:
    upstream.script(then=Step(body="{}"))
    await _requests(proxy, ROUNDS // 3)
    before = proxy.memory()
    await _requests(proxy, ROUNDS)
    # Were each request kept until its deadline, this would be 180 MB, for minutes. Some wait to be counted, and more of
    # them the busier the machine is.
    give_up = time.monotonic() + PATIENCE
    while proxy.memory() - before >= 100 * MIB:
        assert time.monotonic() < give_up, (proxy.memory() - before) / MIB
        await asyncio.sleep(0.1)


async def _requests(proxy: Mitmproxy, total: int, per_connection: int = 100) -> None:
    async def work() -> None:
        for _ in range(total // WORKERS // per_connection):
            async with Http1(proxy.port) as client:
                for _ in range(per_connection):
                    assert (await client.ask("POST", PATH, body=REQUEST)).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())


async def test_a_large_stream_leaves_no_trace_in_memory(upstream: Upstream, proxy: Mitmproxy) -> None:
    for size in (10 * MIB, 100 * MIB):
        upstream.script(Step(big=size))
        before = peak = proxy.memory()
        async with Http1(proxy.port) as client:
            await client.send("POST", PATH, body=ASK)
            await client.head()
            received = sampled = 0
            while data := await client.chunk():
                received += len(data)
                if received - sampled >= MIB:
                    sampled = received
                    peak = max(peak, proxy.memory())
        assert received >= size
    assert peak - before < 40 * MIB


STREAMED = 64 * MIB
# What the kernel may hold in the socket buffers of both connections, and then some.
UNREAD = 24 * MIB


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_a_client_that_does_not_read_holds_the_upstream_back(
    upstream: Upstream, proxy: Mitmproxy, version: str
) -> None:
    upstream.script(Step(big=STREAMED), then=Step(body="{}"))
    async with Http1(proxy.port) as other:
        await other.ask("GET", "/health")
        before = proxy.memory()
        tls = certificates.client(ca_of(proxy.confdir), "h2")
        async with Http1(proxy.port) if version == "1.1" else Http2(proxy.port, tls) as client:
            if isinstance(client, Http2):
                client.auto_window = False
            stream = await client.send("POST", PATH, body=ASK)
            await upstream.wait_until(lambda: upstream.bytes_sent > 0)
            await _until_it_stands_still(upstream, other)
            assert upstream.bytes_sent < UNREAD
            assert proxy.memory() - before < 32 * MIB
            # Nothing is lost: once it reads, all of it comes.
            assert await _read_on(client, stream) >= STREAMED


async def _read_on(client: Http1 | Http2, stream: int | None) -> int:
    """The size of the answer."""
    size = 0
    if isinstance(client, Http1):
        await client.head()
        while data := await client.chunk():
            size += len(data)
    else:
        assert stream is not None
        client.auto_window = True
        for window in (None, stream):
            client.connection.increment_flow_control_window(2 * STREAMED, window)
        client.writer.write(client.connection.data_to_send())
        answer = client.answers[stream]
        while answer.body or answer.ended == "cut":
            await client.wait(lambda: answer.body or answer.ended != "cut")
            size, answer.body = size + len(answer.body), b""
    return size


@pytest.mark.parametrize("http2_upstream", [False, True])
async def test_a_stream_that_is_not_read_holds_up_no_other_and_can_be_given_up(
    tmp_path: Path, http2_upstream: bool
) -> None:
    authority = Authority(tmp_path)
    options = {"codemie_upstream_attempts_ca_file": authority.pem}
    async with Upstream(authority.server(), http2=http2_upstream) as upstream:
        with reverse(f"https://localhost:{upstream.port}", options=options) as proxy:
            tls = certificates.client(ca_of(proxy.confdir), "h2")
            async with Http2(proxy.port, tls) as client:
                client.auto_window = False
                # Room for all of the connection, so that only the first stream's own window closes.
                client.connection.increment_flow_control_window(2**30)
                upstream.script(Step(big=STREAMED), then=Step(events=EVENTS))
                unread = await client.send("POST", PATH, body=ASK)
                await client.wait(lambda: len(client.answers[unread].body) == 65535)
                for _ in range(20):
                    answer = await client.ask("POST", PATH, body=ASK)
                    assert (answer.body, answer.ended) == (BODY, "complete")
                client.reset(unread)
                await upstream.wait_cancelled(1)
                assert (await client.ask("POST", PATH, body=ASK)).ended == "complete"


async def _until_it_stands_still(upstream: Upstream, other: Http1) -> None:
    """Nothing more comes from the upstream while many other requests are served, or it is far too much already."""
    last, rounds = -1, 0
    while rounds < 40 and upstream.bytes_sent < UNREAD:
        await other.ask("POST", PATH, body=b"{}")
        rounds = rounds + 1 if upstream.bytes_sent - last < 100 else 0
        last = upstream.bytes_sent


async def test_a_websocket_outlives_every_deadline() -> None:
    names = ("connect_timeout", "first_byte_timeout", "first_byte_timeout_plain", "idle_timeout", "keepalive", "budget")
    # Long enough for handshakes and turns on a machine that is busy with something else.
    options: dict[str, object] = {f"codemie_upstream_attempts_{name}": "3s" for name in names}
    options |= {"codemie_upstream_attempts_backoff": "2ms"}
    turn = json.dumps({"type": "response.create", "model": "m", "input": "Hello"})
    async with Upstream() as upstream, AsyncExitStack() as stack:
        with reverse(upstream.url, options=options) as proxy:
            sockets = []
            for failures in (0, 1):
                upstream.script(*[Step(status=503)] * failures)
                sockets.append(await stack.enter_async_context(WebSocketClient(proxy.port, "/v1/responses")))
                await _turn(sockets[-1], turn)
            upgraded = [request for request in upstream.requests if request.messages]
            assert (len(upgraded), upstream.request_count) == (2, 3)
            upstream.script(then=Step(cut=Cut.STALL))
            other = await stack.enter_async_context(Http1(proxy.port))
            # It runs into a deadline that began after the sockets' last words, and is as long as any of theirs.
            assert (await other.ask("POST", PATH, body=ASK)).status == 504
            for socket in sockets:
                await _turn(socket, turn)
            assert [request.messages for request in upgraded] == [[turn, turn]] * 2
            assert "Traceback" not in proxy.log


async def _turn(socket: WebSocketClient, message: str) -> None:
    await socket.say(message)
    kinds: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while not kinds or kinds[-1] != "response.completed":
            kinds.append(json.loads(await socket.hear())["type"])
    assert kinds[0] == "response.created"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_at_once_with_every_exchange_closed(how: signal.Signals, tmp_path: Path) -> None:
    record = tmp_path / "exchanges"
    scripts = (BUNDLE, recorder.SCRIPT)
    slow = {"codemie_upstream_attempts_backoff": "60s", "codemie_upstream_attempts_backoff_max": "60s"}
    async with Upstream() as upstream, AsyncExitStack() as stack:
        with reverse(upstream.url, scripts=scripts, env=recorder.env(record), options=slow) as proxy:
            gate, hold = upstream.gate(), upstream.gate()

            async def begin(step: Step, path: str) -> Http1:
                upstream.script(step)
                count = upstream.request_count
                client = await stack.enter_async_context(Http1(proxy.port))
                await client.send("POST", path, body=ASK)
                await upstream.wait_requests(count + 1)
                return client

            for n in range(5):
                client = await begin(Step(events=EVENTS, gate=gate), f"/v1/messages?streaming={n}")
                await client.head()
                assert await client.chunk() == EVENTS[0]
            await begin(Step(hold=hold), "/v1/chat/completions")
            await begin(Step(status=503), "/v1/responses")
            uploading = await stack.enter_async_context(Http1(proxy.port))
            await uploading.send("POST", "/v1/embeddings", [("content-length", "1000")], b"half")
            socket = await stack.enter_async_context(WebSocketClient(proxy.port, "/v1/responses"))
            await _turn(socket, json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))

            # Sooner than the attempt that waits is made, which is half a minute at least.
            assert await asyncio.to_thread(proxy.stop, how, 25) == 0
        await upstream.wait_connections_closed()
        assert gate.waiting == hold.waiting == 0
    done = recorder.records(record)
    assert sorted((one["path"], one["terminal"]) for one in done) == [
        ("/v1/chat/completions", "proxy_stopped"),
        ("/v1/embeddings", "proxy_stopped"),
        *[("/v1/messages", "proxy_stopped")] * 5,
        *[("/v1/responses", "proxy_stopped")] * 2,
    ]
    # Python 3.12.1 itself prints a traceback for each connection task that is cancelled at the end.
    assert "crashed" not in proxy.log
    assert f'File "{ADDONS}' not in proxy.log
