"""WebSockets through a real mitmdump, between a client and a server of the `websockets` library."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.io import FlowReader
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

from codemie_core.demo.absent import closed_port
from support.echo import Echo, echo
from support.proxy import Mitmproxy, reverse
from support.shared import shared_proxy

MOST = 1024 * 1024
KEPT = 40
OPTIONS = {"max_message": "1m", "keep_messages": KEPT, "keep": "256k"}
PATIENCE = 60.0
OFFERS: dict[str, tuple[Any, Any]] = {
    "by both": (ClientPerMessageDeflateFactory(client_max_window_bits=True), ServerPerMessageDeflateFactory()),
    "with small windows": (
        ClientPerMessageDeflateFactory(client_max_window_bits=True, server_max_window_bits=10),
        ServerPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=9),
    ),
    "each message alone": (
        ClientPerMessageDeflateFactory(client_no_context_takeover=True, server_no_context_takeover=True),
        ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    ),
    "only offered": (ClientPerMessageDeflateFactory(), None),
    "by nobody": (None, None),
}


def options() -> dict[str, object]:
    return {f"codemie_websocket_guard_{name}": value for name, value in OPTIONS.items()}


@pytest.fixture(scope="module")
def port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def proxy(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("websocket")
    more = {**options(), "flow_detail": 0}
    with shared_proxy(home, "--mode", f"reverse:http://127.0.0.1:{port}", options=more, fresh=True) as running:
        yield running


@pytest.fixture
async def server(port: int) -> AsyncIterator[Echo]:
    async with echo(port) as running:
        yield running


def client(proxy: Mitmproxy, **more: Any) -> Any:
    url = f"ws://127.0.0.1:{proxy.port}/v1/responses"
    return connect(url, max_size=None, proxy=None, open_timeout=PATIENCE, **more)


def codex(proxy: Mitmproxy) -> Any:
    return client(proxy, user_agent_header="codex_exec/0.169.0")


async def ending(socket: ClientConnection, *messages: str | bytes) -> tuple[int, str]:
    """Say this and hear how the connection ends."""
    async with asyncio.timeout(PATIENCE):
        try:
            for message in messages:
                await socket.send(message)
            while True:
                await socket.recv()
        except ConnectionClosed:
            await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or ""


@pytest.mark.parametrize("offers", OFFERS)
async def test_messages_arrive_as_they_were_sent_however_they_are_compressed(
    offers: str, port: int, proxy: Mitmproxy
) -> None:
    theirs, ours = OFFERS[offers]
    agreed = {"compression": None, "extensions": [ours] if ours else None}
    offered = client(proxy, compression=None, extensions=[theirs] if theirs else None)
    async with echo(port, **agreed) as server, asyncio.timeout(PATIENCE), offered as socket:
        for message in ("words", "é" * 100_000, bytes(range(256)) * 500, "", "w" * MOST, "words"):
            await (await socket.ping())
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(json.dumps({"frames": ["first, ", "", "é" * 5000, "last"]}))
        assert await socket.recv() == "first, " + "é" * 5000 + "last"
        assert bool(server.extensions[0]) == bool(socket.protocol.extensions) == (ours is not None)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_a_message_larger_than_the_bound_ends_the_connection_with_1009(
    compression: str | None, server: Echo, proxy: Mitmproxy
) -> None:
    async with client(proxy, compression=compression) as socket:
        code, words = await ending(socket, "small", "x" * (MOST + 1))
    assert (code, words) == (1009, "The message is larger than the 1 MiB this proxy takes.")
    assert await server.closed() == (1001, "The client went away.")
    assert server.received == 1


async def test_a_client_that_sends_without_listening_still_gets_the_1009(server: Echo, proxy: Mitmproxy) -> None:
    # No compression: all of it is on its way when the bound is met, and closing TCP then would be a reset.
    async with client(proxy, compression=None) as socket:
        assert (await ending(socket, "x" * (30 * MOST)))[0] == 1009


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_a_message_of_the_upstream_larger_than_the_bound_ends_the_connection_too(
    compression: str | None, server: Echo, proxy: Mitmproxy
) -> None:
    async with client(proxy, compression=compression) as socket:
        code, words = await ending(socket, json.dumps({"send": 3 * MOST}))
    assert (code, words) == (1009, "The upstream's message is larger than the 1 MiB this proxy takes.")
    assert (await server.closed())[0] == 1009


async def test_a_message_that_is_small_only_while_it_is_compressed_takes_no_memory(
    server: Echo, proxy: Mitmproxy
) -> None:
    async with client(proxy) as socket:
        await socket.send("warm")
        assert await socket.recv() == "warm"
        before = proxy.memory()
        assert (await ending(socket, b"\0" * (200 * MOST)))[0] == 1009
    assert proxy.memory() - before < 60 * MOST


LOST = "The connection to the upstream was lost; connect again."
SILENT = "The upstream fell silent while it was to answer; connect again."
BROKEN = "The upstream broke the WebSocket protocol; connect again."


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        ({"close": [4001, "own words"]}, (4001, "own words")),
        ({"close": [1000, ""]}, (1000, "")),
        ({"raw": "8800"}, (1005, "")),
        ({"abort": 0}, (1012, LOST)),
        ({"raw": "8100" + "8303616263"}, (1012, BROKEN)),
        ({"raw": "8204ffffffff" + "c10400000000"}, (1012, BROKEN)),
    ],
    ids=str,
)
async def test_however_the_upstream_ends_the_client_gets_a_close_frame_that_says_it(
    told: dict[str, Any], heard: tuple[int, str], server: Echo, proxy: Mitmproxy
) -> None:
    async with client(proxy) as socket:
        assert await ending(socket, json.dumps(told)) == heard


def overload(status: int) -> str:
    return json.dumps({"type": "error", "status": status, "error": {"code": "server_is_overloaded"}})


async def test_an_overload_that_opens_a_turn_of_codex_is_not_passed_on_but_ends_the_connection_with_1012(
    server: Echo, proxy: Mitmproxy
) -> None:
    async with codex(proxy) as socket:
        await socket.send("a turn")
        assert await socket.recv() == "a turn"
        assert await ending(socket, overload(503)) == (1012, "The upstream is overloaded; connect again.")
    assert server.closes[-1][0] == 1001


async def test_what_the_upstream_says_of_limits_before_it_answers_opens_no_turn(server: Echo, proxy: Mitmproxy) -> None:
    limits = json.dumps({"type": "codex.rate_limits", "rate_limits": {"allowed": True}})
    async with codex(proxy) as socket:
        await socket.send(json.dumps({"say": [limits, overload(503)]}))
        assert await socket.recv() == limits
        assert (await ending(socket))[0] == 1012


async def test_clients_that_may_not_connect_again_are_told_of_it(server: Echo, proxy: Mitmproxy) -> None:
    async with client(proxy) as socket:
        await socket.send(overload(503))
        assert await socket.recv() == overload(503)


async def test_other_errors_and_an_overload_later_in_a_turn_are_the_clients(server: Echo, proxy: Mitmproxy) -> None:
    async with codex(proxy) as socket:
        await socket.send(overload(400))
        assert await socket.recv() == overload(400)
        await socket.send(json.dumps({"twice": overload(529)}))
        assert [await socket.recv(), await socket.recv()] == ["first", overload(529)]


async def test_a_client_that_is_gone_is_gone_for_the_upstream_too(server: Echo, proxy: Mitmproxy) -> None:
    async with client(proxy) as socket:
        await socket.send("words")
        await socket.recv()
        socket.transport.abort()
        assert await server.closed() == (1001, "The client went away.")


async def test_an_upstream_that_falls_silent_in_a_turn_ends_it_but_never_between_turns() -> None:
    ask, done = (json.dumps({"type": f"response.{what}"}) for what in ("create", "completed"))
    async with echo() as server:
        more = {**options(), "codemie_upstream_attempts_idle_timeout": "3s"}
        with reverse(f"http://127.0.0.1:{server.port}", options=more) as proxy:
            async with client(proxy) as talking, client(proxy) as silent:
                await talking.send(ask)
                assert await talking.recv() == ask
                await talking.send(json.dumps({"say": [done]}))
                assert await talking.recv() == done
                await silent.send(ask)  # The server says it back.
                assert await silent.recv() == ask
                # By then the other one has been silent for longer.
                assert await ending(silent) == (1012, SILENT)
                await talking.send("words")
                assert await talking.recv() == "words"


async def test_a_client_that_does_not_read_in_mid_turn_is_waited_for() -> None:
    ask, done = (json.dumps({"type": f"response.{what}"}) for what in ("create", "completed"))
    size, pieces = 500_000, 60  # more than systems and proxy hold for it
    async with echo() as server:
        more = {**options(), "codemie_upstream_attempts_idle_timeout": "500ms"}
        with reverse(f"http://127.0.0.1:{server.port}", options=more) as proxy:
            async with asyncio.timeout(120), client(proxy, max_queue=1, compression=None) as socket:
                await socket.send(ask)
                assert await socket.recv() == ask
                for _ in range(pieces):
                    await socket.send(json.dumps({"send": size}))
                await socket.send(json.dumps({"say": [done]}))
                await asyncio.sleep(3.0)  # several times as long as the upstream may be silent
                assert [len(await socket.recv()) for _ in range(pieces)] == [size] * pieces
                assert await socket.recv() == done


async def test_the_end_of_the_proxy_is_told_on_every_websocket_and_what_stayed_is_saved(tmp_path: Path) -> None:
    saved = tmp_path / "flows"
    async with echo() as server:
        more = {**options(), "save_stream_file": saved}
        with reverse(f"http://127.0.0.1:{server.port}", options=more) as proxy:
            async with client(proxy) as talking, client(proxy) as silent:
                for number in range(100):
                    await talking.send(f"message {number}")
                    await talking.recv()
                proxy.process.send_signal(signal.SIGTERM)
                for socket in (talking, silent):
                    assert await ending(socket) == (1012, "The proxy is stopping; connect again.")
            assert await asyncio.to_thread(proxy.process.wait, PATIENCE) == 0
        assert await server.closed(2) == (1001, "The client's proxy stops.")
    with saved.open("rb") as file:
        flows: Any = list(FlowReader(file).stream())
    [messages] = [flow.websocket.messages for flow in flows if flow.websocket.messages]
    assert 20 <= len(messages) <= KEPT
    assert [message.content for message in messages[-2:]] == [b"message 99"] * 2


async def test_two_thousand_turns_on_one_connection_leave_the_memory_as_it_was(server: Echo, proxy: Mitmproxy) -> None:
    async def turns(socket: ClientConnection, count: int) -> None:
        for number in range(count):
            await socket.send(f"{number:06}" + "x" * 20_000)
            await socket.recv()

    async with asyncio.timeout(2 * PATIENCE), client(proxy, compression=None) as socket:
        await turns(socket, 200)
        before = proxy.memory()
        await turns(socket, 2000)
        grown = proxy.memory() - before
    # Kept as mitmproxy keeps them, they would take 80 MB.
    assert grown < 30 * MOST
