"""An upstream on a bad day, seeded, in a process of its own: `python -m soak.upstream` prints its port."""

import asyncio
import json
import random

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from bench.upstream import Upstream, event, talk
from soak.socket_words import LIMIT, answered

SEED = 20260417

_LAST = b"0\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = 6


def error(status: int, kind: str, *fields: str) -> bytes:
    """A whole response, shaped like Anthropic's."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "A bad day."}}).encode()
    head = [f"HTTP/1.1 {status} Sorry", "content-type: application/json", f"content-length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _error_event() -> bytes:
    data = b"event: error\ndata: " + json.dumps({"type": "error", "error": {"type": "overloaded_error"}}).encode()
    return b"%x\r\n%b\n\n\r\n" % (len(data) + 2, data)


WHOLE = {
    "429, busy": error(429, "rate_limit_error", "x-should-retry: true"),
    "429, back in a second": error(429, "rate_limit_error", "retry-after: 1"),
    "529": error(529, "overloaded_error"),
    "503": error(503, "api_error"),
    "401": error(401, "authentication_error"),
    "400": error(400, "invalid_request_error"),
}
FAULTS = {
    "429, busy": 0.02,
    "429, back in a second": 0.005,
    "529": 0.002,
    "503": 0.01,
    "401": 0.0003,
    "400": 0.005,
    "closed": 0.01,
    "error first": 0.002,
    "cut": 0.005,
}
"""How often each happens. Those that cost an account a rest are rare enough for a pool of a hundred."""


SOCKET_FAULTS = {"limit": 0.002, "closed": 0.004, "cut": 0.004}
"""How often a turn of a WebSocket ends in each."""


class BadDay(Upstream):
    """One connection; the dice are everybody's."""

    dice = random.Random(SEED)
    turns = 0
    _socket: WSConnection | None = None

    def data_received(self, data: bytes) -> None:
        if self._socket is None and data.startswith(b"GET /v1/responses"):
            self._upgrade(data)
        elif self._socket is None:
            super().data_received(data)
        else:
            self._hear(self._socket, data)

    def _upgrade(self, head: bytes) -> None:
        """The head comes in one piece: the proxy has it as a whole."""
        fate = self.dice.random()
        if fate < FAULTS["503"]:
            self._transport.write(WHOLE["503"])
            return
        self._socket = WSConnection(ConnectionType.SERVER)
        self._socket.receive_data(head)
        next(self._socket.events())
        self._transport.write(self._socket.send(AcceptConnection()))

    def _hear(self, socket: WSConnection, data: bytes) -> None:
        try:
            socket.receive_data(data)
            for heard in socket.events():
                if isinstance(heard, TextMessage) and heard.message_finished:
                    self._turn(socket)
                elif isinstance(heard, Ping):
                    self._transport.write(socket.send(heard.response()))
                elif isinstance(heard, CloseConnection):
                    self._transport.write(socket.send(heard.response()))
                    self._transport.close()
        except RemoteProtocolError:
            self._transport.abort()

    def _turn(self, socket: WSConnection) -> None:
        BadDay.turns += 1
        words = answered(BadDay.turns)
        [fate] = self.dice.choices([*SOCKET_FAULTS, ""], [*SOCKET_FAULTS.values(), 1 - sum(SOCKET_FAULTS.values())])
        if fate == "limit":
            words = [LIMIT]
        elif fate:
            words = words[:3]
        self._transport.write(b"".join(socket.send(TextMessage(data=text)) for text in words))
        if fate == "closed":
            self._transport.write(socket.send(CloseConnection(code=1011)))
            self._transport.close()
        elif fate == "cut":
            self._transport.abort()

    def answer(self, wish: str, numbers: list[str]) -> None:
        fate = next(iter(self.dice.choices([*FAULTS, ""], [*FAULTS.values(), 1 - sum(FAULTS.values())])))
        if fate in WHOLE:
            self._transport.write(WHOLE[fate])
        elif fate == "closed":
            self._transport.abort()
        elif fate == "error first":
            self._transport.write(_STREAM + _error_event() + _LAST)
        elif fate == "cut":
            self._transport.write(_STREAM + event(1) + event(2))
            self._transport.close()
        elif wish == "sse":
            self._transport.write(_STREAM + b"".join(event(n) for n in range(EVENTS)) + _LAST)
        else:
            self._transport.write(talk())


if __name__ == "__main__":
    from bench.upstream import serve

    asyncio.run(serve(BadDay))
