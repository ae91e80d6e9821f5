"""A client that does not read holds back what is sent for it, and nothing else."""

import asyncio
from types import SimpleNamespace
from typing import Any

import h2.events
import pytest
from mitmproxy.connection import Client, Connection, Server
from mitmproxy.proxy.layers.http import RequestProtocolError
from mitmproxy.proxy.layers.http._http_h2 import SendH2Data
from mitmproxy.utils import asyncio_utils

from codemie_core.policy import AttemptPlan
from codemie_core.seams import backpressure
from codemie_core.seams.backpressure import (
    MAX_QUEUED,
    UPSTREAM_WINDOW,
    Backlog,
    WindowOpened,
    backlog_of,
    hold_back,
    is_held_up,
)
from support.playbook import EVENT_STREAM, Playbook
from support.playbook_h2 import H2Client, H2Server

PATIENCE = 60.0
CHUNK = b"data: " + b"x" * 65528 + b"\n\n"
WINDOW = 65535
"""What an HTTP/2 client lets come on one stream before it opens its window."""


def queues(**sizes: int) -> Any:
    """The queues of mitmproxy's HTTP/2 connection, by stream."""
    pieces = {int(name[1:]): [SendH2Data(b"x" * size, False)] for name, size in sizes.items()}
    return SimpleNamespace(stream_buffers=pieces)


def full(*streams: int) -> Backlog:
    """A backlog in which these streams are full."""
    backlog = Backlog()
    for stream_id in streams:
        backlog.sent(stream_id, MAX_QUEUED + 1, queues(**{f"s{stream_id}": MAX_QUEUED + 1}))
    return backlog


async def test_a_client_that_takes_nothing_holds_its_upstream_up_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    came: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: came.put_nowait(writer), "127.0.0.1", 0)
    reader, ours = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=1024)
    writer = await came.get()
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    transports: dict[Connection, Any] = {}
    monkeypatch.setattr(backpressure, "handler_of", lambda _: SimpleNamespace(transports=transports))
    assert not is_held_up(client)
    transports[client] = SimpleNamespace(writer=writer)
    assert not is_held_up(client)
    size = 64 * 1024 * 1024  # More than any system takes for who does not read.
    writer.write(bytes(size))
    assert is_held_up(client)
    async with asyncio.timeout(60):
        await reader.readexactly(size)
        await writer.drain()
    assert not is_held_up(client)
    for end in (writer, ours):
        end.close()
    server.close()


def test_only_what_is_queued_counts() -> None:
    backlog = Backlog()
    for _ in range(10):
        backlog.sent(1, MAX_QUEUED, queues())
    assert not backlog.is_full(1)


def test_a_stream_is_full_beyond_its_bound_and_no_other_with_it() -> None:
    backlog = Backlog()
    backlog.sent(1, MAX_QUEUED, queues(s1=MAX_QUEUED))
    assert not backlog.is_full(1)
    backlog.sent(1, 1, queues(s1=MAX_QUEUED + 1))
    assert backlog.is_full(1)
    assert not backlog.is_full(3)


def test_a_client_that_reads_frees_its_streams() -> None:
    backlog = full(1, 3)
    assert backlog.received(queues(s1=MAX_QUEUED, s3=MAX_QUEUED + 1)) == [1]
    assert backlog.received(queues(s3=MAX_QUEUED + 1)) == []
    assert backlog.received(queues()) == [3]
    assert backlog.received(queues()) == []


async def test_whoever_waits_for_room_goes_on_when_there_is_some() -> None:
    backlog = full(1)
    await asyncio.wait_for(backlog.room(3), PATIENCE)
    waiting = asyncio_utils.create_task(backlog.room(1), name="reader", keep_ref=True)
    await asyncio.sleep(0)
    assert not waiting.done()
    backlog.received(queues())
    await asyncio.wait_for(waiting, PATIENCE)


def test_only_http2_clients_have_a_backlog() -> None:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    assert backlog_of(client) is None
    client.alpn = b"h2"
    assert backlog_of(client) is backlog_of(client) is not None


class Handler:
    """What of mitmproxy's connection handler matters here."""

    def __init__(self, alpn: bytes | None = b"h2") -> None:
        self.client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
        self.client.alpn = alpn
        self.transports: dict[Connection, Any] = {}
        self.drained = 0

    async def drain_writers(self) -> None:
        self.drained += 1

    def reads(self, connection: Connection) -> asyncio.Task[None]:
        """A reader of this connection that comes by once."""

        async def read() -> None:
            self.transports[connection] = SimpleNamespace(handler=asyncio.current_task())
            await self.drain_writers()

        return asyncio_utils.create_task(read(), name="reader", keep_ref=True)


async def test_the_reader_of_a_full_stream_waits_and_all_others_go_on() -> None:
    handler = Handler()
    hold_back(handler)  # type: ignore[arg-type] # has what is needed of one
    backlog = backlog_of(handler.client)
    assert backlog
    slow, quick, unknown = (Server(address=("upstream.test", port)) for port in (1, 2, 3))
    backlog.readers.update({slow: 1, quick: 3})
    backlog.sent(1, MAX_QUEUED + 1, queues(s1=MAX_QUEUED + 1))
    held = handler.reads(slow)
    await asyncio.wait_for(asyncio.gather(*map(handler.reads, (quick, unknown, handler.client))), PATIENCE)
    assert not held.done()
    assert handler.drained == 4, "mitmproxy's own part comes first for all"
    backlog.received(queues())
    await asyncio.wait_for(held, PATIENCE)


@pytest.mark.parametrize("alpn", [None, b"h2"])
async def test_without_readers_to_hold_nothing_changes(alpn: bytes | None) -> None:
    handler = Handler(alpn)
    hold_back(handler)  # type: ignore[arg-type] # has what is needed of one
    await asyncio.wait_for(handler.reads(handler.client), PATIENCE)
    assert handler.drained == 1


@pytest.mark.parametrize("retried", [False, True], ids=["first attempt", "second attempt"])
def test_before_an_http1_upstream_the_queue_of_the_stream_is_watched(retried: bool) -> None:
    with Playbook(wires={"client"}, client_alpn=b"h2") as book:
        client = H2Client(book)
        client.ask()
        if retried:
            book.respond(503)
            book.advance(1.0)
        backlog = backlog_of(book.client)
        assert backlog
        book.respond(200, EVENT_STREAM)
        while not backlog.is_full(1):
            book.send(CHUNK)
        assert backlog.readers[book.servers[-1]] == 1
        received = sum(event.flow_controlled_length for event in client.of(h2.events.DataReceived))
        assert received == WINDOW
        for _ in range(60):
            got = sum(event.flow_controlled_length for event in client.of(h2.events.DataReceived))
            client.read(min(got, WINDOW), 1)
        assert not backlog.is_full(1)


def test_the_idle_deadline_does_not_blame_the_upstream_for_a_client_that_does_not_read() -> None:
    with Playbook(AttemptPlan(idle_timeout=60.0), wires={"client"}, client_alpn=b"h2") as book:
        client = H2Client(book)
        client.ask()
        book.respond(200, EVENT_STREAM)
        for _ in range(MAX_QUEUED // len(CHUNK) + 3):
            book.send(CHUNK)
        book.advance(600.0)
        assert book.exchange().terminal is None
        client.h2.reset_stream(1)
        client.exchange()
        assert book.exchange().terminal is not None
        assert book.sent_to("upstream", RequestProtocolError)
        backlog = backlog_of(book.client)
        assert backlog
        assert not backlog.is_full(1)
        assert book.layer.streams == {}


def both_in_bytes(book: Playbook) -> tuple[H2Client, H2Server]:
    """A client and an upstream, and a request between them."""
    client = H2Client(book)
    client.ask()
    return client, H2Server(book)


@pytest.mark.parametrize("retried", [False, True], ids=["first attempt", "second attempt"])
def test_an_http2_upstream_gets_no_window_for_a_stream_that_is_not_read(retried: bool) -> None:
    with Playbook(wires={"client", "upstream"}, client_alpn=b"h2", alpn=b"h2") as book:
        client, server = both_in_bytes(book)
        if retried:
            server.respond(1, 503)
            book.advance(1.0)
            server.exchange()
        slow, quick = (3, 5) if retried else (1, 3)
        server.respond(slow)
        sent = server.send(64 * 2**20, slow)
        assert sent < WINDOW + MAX_QUEUED + 2 * UPSTREAM_WINDOW, "the rest stays where it is"
        client.ask(3)
        server.exchange()
        server.respond(quick)
        assert server.send(WINDOW, quick) == WINDOW, "another stream of the same connection goes on"
        for _ in range(200):
            client.read(WINDOW, 1)
            server.exchange()
        assert server.send(2**20, slow) == 2**20, "the client has read: the upstream has window again"


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_stream_given_up_while_it_is_full_leaves_nothing_behind(who: str) -> None:
    with Playbook(wires={"client", "upstream"}, client_alpn=b"h2", alpn=b"h2") as book:
        client, server = both_in_bytes(book)
        server.respond(1, 503)
        book.advance(1.0)
        server.exchange()
        server.respond(3)
        server.send(64 * 2**20, 3)
        backlog = backlog_of(book.client)
        assert backlog
        assert (set(backlog.withheld), set(backlog.aliases.values())) == ({1}, {1})
        if who == "client":
            client.h2.reset_stream(1)
            client.exchange()
            server.exchange()
            assert any(isinstance(event, h2.events.StreamReset) for event in server.events)
        else:
            server.h2.reset_stream(3)
            server.exchange()
            assert client.of(h2.events.StreamReset)
        assert not backlog.is_full(1)
        assert (backlog.withheld, backlog.aliases, book.layer.streams) == ({}, {}, {})
        client.ask(3)
        server.exchange()
        server.respond(5)
        assert server.send(WINDOW, 5) == WINDOW


def test_an_http2_upstream_streams_on_to_a_client_that_reads() -> None:
    with Playbook(wires={"client", "upstream"}, client_alpn=b"h2", alpn=b"h2") as book:
        client, server = both_in_bytes(book)
        server.respond()
        sent = 0
        for _ in range(100):
            sent += server.send(WINDOW)
            client.read(WINDOW, 1)
        assert sent == 100 * WINDOW
        backlog = backlog_of(book.client)
        assert backlog
        assert not backlog.withheld


def test_an_http1_client_leaves_the_windows_to_mitmproxy() -> None:
    with Playbook(wires={"upstream"}, alpn=b"h2") as book:
        book.ask()
        server = H2Server(book)
        server.respond()
        assert server.send(16 * 2**20) == 16 * 2**20


def test_a_window_for_a_stream_that_owes_nothing_is_no_news() -> None:
    with Playbook(wires={"client", "upstream"}, client_alpn=b"h2", alpn=b"h2") as book:
        _, server = both_in_bytes(book)
        connection = book.layer.connections[server.connection]
        for event_id in (1, 77):
            assert list(connection.handle_event(WindowOpened(event_id))) == []


def test_data_after_the_end_of_a_stream_is_mitmproxys() -> None:
    with Playbook(wires={"client", "upstream"}, client_alpn=b"h2", alpn=b"h2") as book:
        client, server = both_in_bytes(book)
        server.respond()
        server.send(100)
        server.h2.end_stream(1)
        server.exchange()
        assert client.of(h2.events.StreamEnded)
        assert book.layer.streams == {}
