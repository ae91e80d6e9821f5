"""What the connections of both protocols share: the socket's end, back-pressure and the answers' tasks."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, cast

from codemie_core.demo.ledger import Ledger

BUFFER = 64 * 1024
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One accepted connection. The protocols derive from it and read; this class writes and ends."""

    def __init__(self, ledger: Ledger, number: int, lost: Callable[[Connection], None]) -> None:
        self.ledger, self.number, self._lost = ledger, number, lost
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # set by connection_made
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.get_running_loop().create_future()
        self.ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.set()
        if not self.ending:
            self.client_left()
        for task in self._tasks:
            task.cancel()
        if not self._closed.done():
            self._closed.set_result(None)
        self._lost(self)
        self.ledger.disconnected()

    def eof_received(self) -> bool:
        return False  # a model client that has stopped writing is gone: its answer is cancelled

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def client_left(self) -> None:
        """The client hung up; mark the answers it will not get."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run an answer for as long as the connection lasts."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A step that cannot be played is the script's mistake: say so, and leave no client waiting.
            context = {"message": "the scripted upstream cannot play a step", "exception": error}
            task.get_loop().call_exception_handler(context)
            self.reset()

    async def write(self, data: bytes) -> None:
        """Write and wait until the transport's buffer has room."""
        if self.transport.is_closing():
            raise ConnectionResetError
        self.transport.write(data)
        if not self._room.is_set():
            await self._room.wait()

    async def flush(self) -> None:
        """Wait until all that was written has left for the kernel."""
        self.transport.set_write_buffer_limits(high=0)
        if self.transport.get_write_buffer_size():
            await self._room.wait()
        self.transport.set_write_buffer_limits(high=BUFFER)

    def close(self) -> None:
        """End with FIN (TLS: close_notify)."""
        self.ending = True
        self.transport.close()

    def reset(self) -> None:
        """End with a TCP RST."""
        self.ending = True
        tcp: socket.socket = self.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self.transport.abort()

    async def stop(self) -> None:
        """End at once, with all tasks; returns when nothing is left."""
        self.ending = True
        self.transport.abort()
        await asyncio.gather(self._closed, *self._tasks, return_exceptions=True)
