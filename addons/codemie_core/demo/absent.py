"""Upstreams that are not there: nothing listens, a reset for everybody, silence."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_RST_ON_CLOSE = struct.pack("ii", 1, 0)
_KEPT: list[socket.socket] = []


def closed_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens, and that nobody gets by chance as long as this process lives.

    A server that asks for this very port may have it, as often as it likes: servers reuse addresses.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((host, 0))
    _KEPT.append(keeper)
    port: int = keeper.getsockname()[1]
    return port


@asynccontextmanager
async def resetting_listener(host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Accept every connection and reset it at once; yields the port."""
    async with _listening(host, _reset) as port:
        yield port


@asynccontextmanager
async def mute_listener(host: str = "127.0.0.1", dialed: Callable[[], None] = lambda: None) -> AsyncIterator[int]:
    """Accept every connection and never say a word, so that a TLS handshake never ends; yields the port.

    `dialed` is called for each of them.
    """
    held: list[socket.socket] = []

    def accepted(connection: socket.socket) -> None:
        held.append(connection)
        dialed()

    try:
        async with _listening(host, accepted) as port:
            yield port
    finally:
        for connection in held:
            connection.close()


@asynccontextmanager
async def _listening(host: str, accepted: Callable[[socket.socket], None]) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    with socket.create_server((host, 0)) as listener:
        listener.setblocking(False)

        def accept() -> None:
            accepted(listener.accept()[0])

        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    connection.close()
