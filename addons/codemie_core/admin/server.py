"""Listens from the start, and loads the web libraries when somebody comes: who never looks pays for a socket alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemie_core.admin.serving import Serving

HOST = "127.0.0.1"
BACKLOG = 128


class Server:
    """`prepare` loads and builds what serves, in a thread; `trouble` hears what went wrong, and where."""

    def __init__(self, prepare: Callable[[], Serving], trouble: Callable[[str, Exception], None]) -> None:
        self._prepare, self._trouble = prepare, trouble
        self._socket: socket.socket | None = None
        self._waiting = False
        self._task: asyncio.Task[None] | None = None
        self._serving: Serving | None = None

    def bind(self, port: int) -> int:
        """Listen on this machine alone, from now on; the port, also where 0 asked for a free one.

        OSError when it cannot be had.
        """
        self._socket = listening = _listen(port)
        # A connection waits in the backlog until there is somebody to accept it.
        asyncio.get_running_loop().add_reader(listening, self._begin)
        self._waiting = True
        return int(listening.getsockname()[1])

    @property
    def loaded(self) -> bool:
        """Has somebody come so far?"""
        return self._serving is not None

    async def stop(self, within: float) -> None:
        """End all connections, then the rest, within so many seconds."""
        self._stop_waiting()
        task, self._task = self._task, None
        if task is not None:
            if self._serving is not None:
                self._serving.leave()
            else:
                task.cancel()  # What is being loaded is loaded for nobody.
            done, _ = await asyncio.wait([task], timeout=within)
            if not done:
                task.cancel()
                await asyncio.wait([task], timeout=1)
        self._close()

    def _begin(self) -> None:
        self._stop_waiting()
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="admin server")

    async def _serve(self) -> None:
        try:
            self._serving = await asyncio.to_thread(self._prepare)
            assert self._socket is not None
            await self._serving.serve(self._socket)
        except SystemExit as problem:  # uvicorn's way to say that it cannot start; here it would end the proxy.
            self._trouble("serve", RuntimeError(f"the web server gave up ({problem.code})"))
        except Exception as problem:  # Whatever it is: the proxy goes on without its pages.
            self._trouble("serve", problem)
        finally:
            self._close()

    def _stop_waiting(self) -> None:
        if self._waiting and self._socket is not None:
            self._waiting = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _close(self) -> None:
        listening, self._socket = self._socket, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.close()


def _listen(port: int) -> socket.socket:
    # Named as TCP: only then asyncio switches off, on what it accepts, the delay that costs each answer 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def bind_or_any(server: Server, port: int) -> tuple[int, str]:
    """The port it listens on, and a sentence when that is not the one asked for."""
    try:
        return server.bind(port), ""
    except OSError as problem:
        if problem.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL) or not port:
            raise
        found = server.bind(0)
        return found, f"port {port} cannot be had ({problem.strerror}): the admin API listens on {found} instead"
