"""The Responses API over a WebSocket: each `response.create` is answered with the events as messages."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from codemie_core.demo.answers import Answer, answer_for
from codemie_core.demo.frames import data_of
from codemie_core.demo.playing import Player
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step

if TYPE_CHECKING:
    from codemie_core.demo.connection import Connection


def wants_websocket(received: Received) -> bool:
    """Whether the request is an upgrade on a path that has a WebSocket."""
    upgrade = (received.header("upgrade") or "").lower() == "websocket"
    return upgrade and received.method == "GET" and received.path.startswith("/v1/responses")


class WebSocketSession:
    """One upgraded connection; its step governs every turn. Finished when closed by a close frame."""

    def __init__(self, connection: Connection, received: Received, head: bytes, rest: bytes) -> None:
        self._connection, self._received = connection, received
        self._ledger = connection.ledger
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._protocol.receive_data(head)
        next(self._protocol.events())
        connection.transport.write(self._protocol.send(AcceptConnection()))
        received.head_sent = True
        self._partial = ""
        self._turns: asyncio.Queue[str] = asyncio.Queue()
        connection.spawn(self._serve())
        if rest:
            self.receive(rest)

    def receive(self, data: bytes) -> None:
        """Take bytes off the wire."""
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._handle(event)
        except RemoteProtocolError as error:
            if error.event_hint:
                self._connection.transport.write(self._protocol.send(error.event_hint))
            self._connection.close()

    def _handle(self, event: object) -> None:
        match event:
            case TextMessage():
                self._partial += event.data
                if event.message_finished:
                    self._message(self._partial)
                    self._partial = ""
            case Ping():
                self._connection.transport.write(self._protocol.send(event.response()))
            case CloseConnection():
                self._connection.transport.write(self._protocol.send(event.response()))
                self._ledger.finish(self._received)
                self._connection.close()

    def _message(self, text: str) -> None:
        self._received.messages.append(text)
        self._turns.put_nowait(text)
        self._ledger.changed()

    async def _serve(self) -> None:
        while True:
            message = await self._turns.get()
            step = self._received.step
            if _is_warm_up(message):
                step = replace(step, events=0)
            answer = answer_for(self._received, step, self._ledger.next_serial(), message)
            try:
                if not await Player(self._received, step, self, self._ledger.progress).play(answer):
                    return
            except ConnectionResetError:  # the client left; connection_lost marks it
                return

    async def head(self, answer: Answer, step: Step, length: int | None) -> None:
        """A message has no head."""

    async def body(self, data: bytes, promised: int) -> None:
        """Send the data of a frame as one message."""
        if (text := data_of(data)) is not None:
            said = _with_status(text) if self._received.step.error_event else text
            await self._connection.write(self._protocol.send(TextMessage(data=said)))

    async def end(self) -> None:
        """The connection stays open for the next turn."""

    async def raw(self, data: bytes) -> None:
        """Send bytes that are no frame."""
        await self._connection.write(data)

    async def cut(self, how: Cut, code: int) -> None:
        """End the connection without a close frame."""
        if how in (Cut.RESET, Cut.DROP):
            await self._connection.flush()
            self._connection.reset()
        else:
            self._connection.close()


def _with_status(text: str) -> str:
    """An error as a WebSocket says it: Codex takes no notice of one without a status, and waits on."""
    said = json.loads(text)
    if said["type"] != "error":
        return text
    about = {"type": "service_unavailable_error", **{name: said[name] for name in ("code", "message", "param")}}
    return json.dumps({"type": "error", "status": 503, "error": about})


def _is_warm_up(message: str) -> bool:
    """Codex opens with a `response.create` that asks for no output."""
    try:
        request = json.loads(message)
    except ValueError:
        return False
    return isinstance(request, dict) and request.get("generate") is False
