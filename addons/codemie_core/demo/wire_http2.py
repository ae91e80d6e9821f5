"""HTTP/2 over TLS, with its own ways to fail: RST_STREAM, GOAWAY, a connection that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from codemie_core.demo.answers import Answer, answer_for
from codemie_core.demo.connection import Connection
from codemie_core.demo.ledger import Ledger
from codemie_core.demo.playing import Player
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step

_WINDOW = 2**24
_SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: 1000,
    SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
    SettingCodes.MAX_HEADER_LIST_SIZE: 256 * 1024,
}
_PAD = "p" * 8000


class Http2Connection(Connection):
    """Reads the streams of one connection; each is answered in its own task."""

    def __init__(self, ledger: Ledger, number: int, lost: Callable[[Connection], None]) -> None:
        super().__init__(ledger, number, lost)
        self.protocol = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.streams: dict[int, Http2Wire] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Assigning to single keys would leave them out of the first SETTINGS frame, yet believe them announced.
        self.protocol.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self.protocol.initiate_connection()
        self.protocol.increment_flow_control_window(_WINDOW)
        self.send()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.protocol.receive_data(data):
                self._handle(event)
        except ProtocolError:
            self.send()
            self.close()
            return
        self.send()

    def client_left(self) -> None:
        for stream in self.streams.values():
            self.ledger.cancel(stream.received)

    def send(self) -> None:
        """Write what the protocol has ready."""
        if (data := self.protocol.data_to_send()) and not self.transport.is_closing():
            self.transport.write(data)

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id)):
                self._begin(stream_id, [(str(name), str(value)) for name, value in event.headers])
            case DataReceived(stream_id=int(stream_id)):
                if event.flow_controlled_length:
                    self.protocol.acknowledge_received_data(event.flow_controlled_length, stream_id)
                if stream := self.streams.get(stream_id):
                    stream.parts.append(event.data or b"")
            case StreamEnded(stream_id=int(stream_id)):
                if stream := self.streams.get(stream_id):
                    stream.received.body = b"".join(stream.parts)
                    self.ledger.complete(stream.received)
                    if not stream.received.step.early:
                        stream.answer()
            case StreamReset(stream_id=int(stream_id)):
                if stream := self.streams.pop(stream_id, None):
                    stream.abandon()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in list(self.streams.values()):
                    stream.room.set()

    def _begin(self, stream_id: int, headers: list[tuple[str, str]]) -> None:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        received = self.ledger.begin(
            self.number,
            "2",
            pseudo.get(":method", ""),
            pseudo.get(":path", ""),
            pseudo.get(":authority", ""),
            [(name, value) for name, value in headers if not name.startswith(":")],
        )
        stream = self.streams[stream_id] = Http2Wire(self, stream_id, received)
        if received.step.early:
            stream.answer()


class Http2Wire:
    """One stream: collects the request, writes the answer."""

    def __init__(self, connection: Http2Connection, stream_id: int, received: Received) -> None:
        self._connection, self._id, self.received = connection, stream_id, received
        self._protocol = connection.protocol
        self.parts: list[bytes] = []
        self.room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def answer(self) -> None:
        """Begin to answer."""
        self._task = self._connection.spawn(self._play())

    def abandon(self) -> None:
        """The client reset the stream."""
        self._connection.ledger.cancel(self.received)
        if self._task:
            self._task.cancel()

    async def _play(self) -> None:
        received, ledger = self.received, self._connection.ledger
        answer = answer_for(received, received.step, ledger.next_serial())
        try:
            if await Player(received, received.step, self, ledger.progress).play(answer):
                ledger.finish(received)
        except (ConnectionResetError, ProtocolError):  # the client left; it is marked where that is seen
            return
        self._connection.streams.pop(self._id, None)

    async def head(self, answer: Answer, step: Step, length: int | None) -> None:
        headers = [(":status", str(answer.status))]
        headers += [(name.lower(), value) for name, value in answer.headers]
        if length is not None:
            announced = length if step.content_length is None else step.content_length
            headers.append(("content-length", str(announced)))
        headers += [("x-padding", _PAD)] * (max(step.head_bytes, 0) // len(_PAD))
        self._protocol.send_headers(self._id, headers)
        await self._write()

    async def body(self, data: bytes, promised: int) -> None:
        if self.received.method == "HEAD":
            return
        while data:
            window = self._protocol.local_flow_control_window(self._id)
            size = min(window, self._protocol.max_outbound_frame_size, len(data))
            if size <= 0:
                self.room.clear()
                await self.room.wait()
                continue
            self._protocol.send_data(self._id, data[:size])
            data = data[size:]
            await self._write()

    async def end(self) -> None:
        self._protocol.end_stream(self._id)
        await self._write()

    async def raw(self, data: bytes) -> None:
        await self._connection.write(data)

    async def cut(self, how: Cut, code: int) -> None:
        match how:
            case Cut.RESET:
                self._protocol.reset_stream(self._id, code)
                await self._write()
            case Cut.GOAWAY:
                self._protocol.close_connection(ErrorCodes(code), last_stream_id=0)
                await self._write()
                self._connection.close()
            case Cut.DROP:
                await self._connection.flush()
                self._connection.reset()
            case _:
                self._connection.close()

    async def _write(self) -> None:
        await self._connection.write(self._protocol.data_to_send())
