"""The scripted upstream: a server that speaks like the model APIs and misbehaves on demand.

    async with Upstream() as upstream:
        upstream.script(Step(status=529), Step(gate=gate := upstream.gate()))
        ...                             # point a client at upstream.url
        await upstream.wait_requests(2)

`python -m codemie_core.demo.upstream --help` runs it on its own.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

from codemie_core.demo.connection import Connection
from codemie_core.demo.gate import Gate
from codemie_core.demo.ledger import Ledger
from codemie_core.demo.wire_http1 import Http1Connection
from codemie_core.demo.wire_http2 import Http2Connection


class Upstream(Ledger):
    """Serves on `host` and `port` (0: any free one) while the context is open; `Ledger` has what it tells.

    With `tls`, HTTP/2 is offered by ALPN unless `http2` is False; the context's ALPN list is overwritten.
    `prefix` is cut off every path, a path without it is a 404. `fault_header` obeys `x-demo-fault: <preset>`.
    `keep` bounds how many requests `requests` holds (None: all); with a bound, `cancelled` stays empty.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        http2: bool = True,
        prefix: str = "",
        fault_header: bool = False,
        keep: int | None = None,
    ) -> None:
        super().__init__(prefix, fault_header, keep)
        self.host, self.port = host, port
        self._tls, self._http2 = tls, http2
        self._server: asyncio.Server | None = None
        self._live: set[Connection] = set()

    @property
    def url(self) -> str:
        """`http://host:port` or `https://host:port`, with the prefix, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}{self._prefix}"

    def gate(self) -> Gate:
        """Make a gate for a step; `wait_until` sees when somebody stands before it."""
        return Gate(self.changed)

    async def __aenter__(self) -> Self:
        if self._tls:
            self._tls.set_alpn_protocols(["h2", "http/1.1"] if self._http2 else ["http/1.1"])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Accepted(self, self._live), self.host, self.port, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server:
            self._server.close()
        await asyncio.gather(*(connection.stop() for connection in list(self._live)))


class _Accepted(asyncio.Protocol):
    """Gives a new connection to the protocol that ALPN has chosen."""

    def __init__(self, ledger: Ledger, live: set[Connection]) -> None:
        self._ledger, self._live = ledger, live

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        http2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        kind = Http2Connection if http2 else Http1Connection
        connection = kind(self._ledger, self._ledger.connected(), self._live.discard)
        self._live.add(connection)
        assert isinstance(transport, asyncio.Transport)
        transport.set_protocol(connection)
        connection.connection_made(transport)


if __name__ == "__main__":
    from codemie_core.demo.command import main

    main()
