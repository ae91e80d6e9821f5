"""Loads the web libraries and serves; imported in a thread, when somebody first comes."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

MIB = 1024 * 1024
LEAVING = 1
"""Seconds that answers under way may take when the proxy ends."""
MOST_CONNECTIONS = 256


class Serving:
    """One application, until `leave`."""

    def __init__(self, api: FastAPI, guarded: ASGIApp) -> None:
        self._api = api
        self._server = _Server(
            uvicorn.Config(
                guarded,
                http="h11",
                ws="wsproto",
                ws_max_size=MIB,
                # Ours, below: uvicorn's would end the process when it fails.
                lifespan="off",
                log_config=None,
                # The guard tells what an application raises; the rest is noise of clients and of wanted ends.
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=LEAVING,
            )
        )

    async def serve(self, listening: socket.socket) -> None:
        """Answer, until `leave` is called or the task is cancelled."""
        # What has just been loaded stays: it is taken out of the walks of the collector, which stop every stream.
        gc.freeze()
        async with self._api.router.lifespan_context(self._api):
            ended: BaseException | None = None
            try:
                await self._server.serve([listening])
            except BaseException as problem:  # Whatever ends this: the lifespan has to come to its own end.
                ended = problem
            self._let_go()
        if ended is not None:
            raise ended

    def _let_go(self) -> None:
        # A socket closed while the loop still watches it gives its number, and the watching, to the next connection.
        for listening in getattr(self._server, "servers", ()):
            listening.close()
        for task in tuple(self._server.server_state.tasks):
            task.cancel()
        for connection in tuple(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def leave(self) -> None:
        """End soon."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are mitmproxy's."""
        yield
