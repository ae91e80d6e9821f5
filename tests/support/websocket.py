"""A WebSocket client that only says and hears text."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from support.clients import Headers, opened


class WebSocketClient:
    """`async with WebSocketClient(port, "/v1/responses") as socket: await socket.say("...")`.

    `tls` and `through` are those of `support.clients.opened`.
    """

    def __init__(
        self, port: int, path: str, headers: Headers = (), tls: ssl.SSLContext | None = None, through: str = ""
    ) -> None:
        self._port, self._path, self._tls, self._through = port, path, tls, through
        self._headers = [(name.encode(), value.encode()) for name, value in headers]
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await opened(self._port, self._tls, self._through)
        request = Request(host="localhost", target=self._path, extra_headers=self._headers)
        self._writer.write(self._protocol.send(request))
        event = await self._next()
        assert isinstance(event, AcceptConnection), event
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    async def say(self, text: str) -> None:
        """Send one message."""
        self._writer.write(self._protocol.send(TextMessage(data=text)))
        await self._writer.drain()

    async def hear(self) -> str:
        """The next whole message; any other event fails."""
        text, finished = "", False
        while not finished:
            event = await self._next()
            assert isinstance(event, TextMessage), event
            text, finished = text + event.data, event.message_finished
        return text

    async def end(self) -> tuple[int, str]:
        """The close frame that comes next: its code and reason."""
        event = await self._next()
        assert isinstance(event, CloseConnection), event
        return int(event.code), event.reason or ""

    async def _next(self) -> Event:
        while not self._events:
            data = await self._reader.read(65536)
            assert data, "the connection has ended"
            self._protocol.receive_data(data)
            self._events = list(self._protocol.events())
        return self._events.pop(0)
