"""Holds the upstream back while an HTTP/2 client does not read.

Toward HTTP/1 clients mitmproxy stops reading from the upstream when the client's socket is full (drain_writers). Toward
HTTP/2 clients it queues without bound whatever their flow-control window does not take. Here its readers wait for that
queue too. While they wait an HTTP/2 upstream connection of this client stands still as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from mitmproxy.connection import Client
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection
from mitmproxy.proxy.server import ConnectionHandler

MAX_QUEUED = 1024 * 1024
"""Bytes per client connection; a chunk more may arrive before the reader stops."""

_rooms: WeakKeyDictionary[Client, asyncio.Event] = WeakKeyDictionary()


def room_of(client: Client) -> asyncio.Event:
    """Set while there is room in the queue toward this client."""
    room = _rooms.get(client)
    if room is None:
        room = _rooms[client] = asyncio.Event()
        room.set()
    return room


def note_queue(client: Client, h2_conn: BufferedH2Connection) -> None:
    """Look how much is queued, after anything was sent or received."""
    room = room_of(client)
    if not h2_conn.stream_buffers:
        room.set()
        return
    queued = sum(len(piece.data) for pieces in h2_conn.stream_buffers.values() for piece in pieces)
    if queued > MAX_QUEUED:
        room.clear()
    else:
        room.set()


def hold_back(handler: ConnectionHandler) -> None:
    """Let the readers of this connection's upstreams wait for room."""
    client = handler.client
    drain: Callable[[], Awaitable[None]] = handler.drain_writers
    room = room_of(client)

    async def drain_and_wait() -> None:
        await drain()
        own_reader = handler.transports[client].handler if client in handler.transports else None
        # The client's own reader goes on: what it reads is what makes room.
        if not room.is_set() and asyncio.current_task() is not own_reader:
            await room.wait()

    handler.drain_writers = drain_and_wait  # type: ignore[method-assign] # an instance's own, mitmproxy calls it by name
