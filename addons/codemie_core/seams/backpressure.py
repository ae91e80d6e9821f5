"""Holds an upstream back while an HTTP/2 client does not read, one stream at a time.

Toward HTTP/1 clients mitmproxy stops reading from the upstream when the client's socket is full (drain_writers). Toward
HTTP/2 clients it queues without bound whatever their flow-control window does not take. So the queue is watched: while
one stream's queue is full, the reader of its HTTP/1 upstream waits, and an HTTP/2 upstream gets no more window for it.
Other streams of the same client go on.

Whoever bounds the silence of an upstream asks `is_held_up` first: one that is not read from cannot be heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import h2.events
from mitmproxy.connection import Client, Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import Http2Client, HttpEvent, ResponseData
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._http2 import StreamState
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection
from mitmproxy.proxy.server import ConnectionHandler

from codemie_core.seams.handlers import handler_of

MAX_QUEUED = 1024 * 1024
"""Bytes per stream; what is on its way already still arrives."""
UPSTREAM_WINDOW = 1024 * 1024
"""Bytes an HTTP/2 upstream may send on one stream before we take them; mitmproxy's own is 2 GiB."""


class Backlog:
    """What waits in the queues toward one HTTP/2 client."""

    def __init__(self) -> None:
        self._queued: dict[int, int] = {}
        self._rooms: dict[int, asyncio.Event] = {}
        self.readers: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
        """HTTP/1 upstream connections and the client stream each one answers."""
        self.withheld: dict[int, tuple[Connection, int]] = {}
        """Client streams whose HTTP/2 upstream waits for window: its connection and the id it knows the stream by."""
        self.aliases: dict[int, int] = {}
        """The ids under which further attempts run, and the client streams they are for."""

    def is_full(self, stream_id: int) -> bool:
        """Is more queued for this stream than it should be?"""
        return stream_id in self._rooms

    def sent(self, stream_id: int, size: int, h2_conn: BufferedH2Connection) -> None:
        """A chunk was given to the stream; some of it may be queued now."""
        if h2_conn.stream_buffers.get(stream_id):
            self._note(stream_id, self._queued.get(stream_id, 0) + size)

    def received(self, h2_conn: BufferedH2Connection) -> list[int]:
        """The client said something, perhaps that it has room. Returns the streams that are no longer full."""
        if not self._queued:
            return []
        before = set(self._rooms)
        for stream_id in list(self._queued):
            pieces = h2_conn.stream_buffers.get(stream_id, ())
            self._note(stream_id, sum(len(piece.data) for piece in pieces))
        return [stream_id for stream_id in before if not self.is_full(stream_id)]

    def _note(self, stream_id: int, queued: int) -> None:
        if queued:
            self._queued[stream_id] = queued
        else:
            self._queued.pop(stream_id, None)
        if queued > MAX_QUEUED:
            self._rooms.setdefault(stream_id, asyncio.Event())
        elif room := self._rooms.pop(stream_id, None):
            room.set()

    async def room(self, stream_id: int) -> None:
        """Wait until the stream is no longer full."""
        if room := self._rooms.get(stream_id):
            await room.wait()


_backlogs: WeakKeyDictionary[Client, Backlog] = WeakKeyDictionary()


def backlog_of(client: Client) -> Backlog | None:
    """The backlog of this client; None when it does not speak HTTP/2."""
    if client.alpn != b"h2":
        return None
    return _backlogs.setdefault(client, Backlog())


def is_held_up(client: Client) -> bool:
    """Does this client not take what is written for it, so that mitmproxy reads nothing more that is for it?"""
    handler = handler_of(client)
    transport = handler.transports.get(client) if handler is not None else None
    if transport is None or not isinstance(transport.writer, asyncio.StreamWriter):
        return False
    output = transport.writer.transport
    # Once it has been full, mitmproxy waits until it is below this mark.
    return output.get_write_buffer_size() > output.get_write_buffer_limits()[0]


def hold_back(handler: ConnectionHandler) -> None:
    """Let the readers of this connection's HTTP/1 upstreams wait for room."""
    drain: Callable[[], Awaitable[None]] = handler.drain_writers

    async def drain_and_wait() -> None:
        await drain()
        backlog = backlog_of(handler.client)
        if backlog is None or not backlog.readers:
            return
        reader = asyncio.current_task()
        for connection, stream_id in backlog.readers.items():
            transport = handler.transports.get(connection)
            if backlog.is_full(stream_id) and transport is not None and transport.handler is reader:
                await backlog.room(stream_id)
                return

    handler.drain_writers = drain_and_wait  # type: ignore[method-assign] # an instance's own, mitmproxy calls it by name


@dataclass
class WindowOpened(HttpEvent):
    """Tells an HTTP/2 upstream connection that this stream has room again."""


class BoundedHttp2Client(Http2Client):
    """HTTP/2 toward the upstream, with a window per stream that closes while the client does not read."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._backlog = backlog_of(context.client)
        self._owed: dict[int, int] = {}
        if self._backlog is not None:
            self.h2_conn.local_settings.initial_window_size = UPSTREAM_WINDOW
            self.h2_conn.local_settings.acknowledge()

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, WindowOpened):
            return self._open_window(event.stream_id)
        return super()._handle_event(event)

    def _open_window(self, event_id: int) -> layer.CommandGenerator[None]:
        stream_id = self.our_stream_id.get(event_id)
        owed = self._owed.pop(stream_id, 0) if stream_id is not None else 0
        if owed and stream_id is not None:
            self.h2_conn.acknowledge_received_data(owed, stream_id)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        """mitmproxy's own, but data for a full stream is not acknowledged yet."""
        if self._backlog is None or not isinstance(event, h2.events.DataReceived):
            return super().handle_h2_event(event)
        if self.streams.get(event.stream_id) is not StreamState.HEADERS_RECEIVED:
            return super().handle_h2_event(event)
        return self._take_data(event, self._backlog)

    def _take_data(self, event: h2.events.DataReceived, backlog: Backlog) -> layer.CommandGenerator[bool]:
        stream_id = event.stream_id
        if event.data or not event.stream_ended:
            yield ReceiveHttp(ResponseData(stream_id, event.data))
        event_id = self.their_stream_id[stream_id]
        client_stream = backlog.aliases.get(event_id, event_id)
        if backlog.is_full(client_stream):
            self._owed[stream_id] = self._owed.get(stream_id, 0) + event.flow_controlled_length
            backlog.withheld[client_stream] = (self.conn, event_id)
        else:
            self.h2_conn.acknowledge_received_data(event.flow_controlled_length, stream_id)
        return False
