"""HTTP/1.1 by hand, so that it can be wrong in every byte."""

from __future__ import annotations

from http import HTTPStatus

from codemie_core.demo.answers import Answer, answer_for
from codemie_core.demo.connection import BUFFER, Connection
from codemie_core.demo.playing import Player
from codemie_core.demo.received import Received
from codemie_core.demo.request_body import BodyReader, MalformedRequest, body_reader
from codemie_core.demo.script import Cut, Framing, Step
from codemie_core.demo.wire_websocket import WebSocketSession, wants_websocket

_HEAD_LIMIT = 256 * 1024
_PAD = b"x-padding: " + b"p" * 1000 + b"\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Http1Connection(Connection):
    """Reads requests one after the other; the next is looked at when the last is answered."""

    _buffer = b""
    _received: Received | None = None
    _reader: BodyReader | None = None
    _websocket: WebSocketSession | None = None
    _answering = False
    _keep_alive = True

    def data_received(self, data: bytes) -> None:
        if self._websocket:
            self._websocket.receive(data)
            return
        self._buffer += data
        try:
            while self._advance():
                pass
        except MalformedRequest as error:
            self.transport.write(_plain_error(str(error)))
            self.close()

    def client_left(self) -> None:
        if self._received:
            self.ledger.cancel(self._received)

    def _advance(self) -> bool:
        """Take one step in reading; False when more bytes or the end of the answer are needed."""
        if self._websocket:
            return False
        if self._reader:
            return self._read_body(self._reader)
        if self._answering or self.ending:
            if len(self._buffer) > _HEAD_LIMIT:
                self.transport.pause_reading()
            return False
        return self._read_head()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise MalformedRequest(f"a request head has more than {_HEAD_LIMIT} bytes")
            return False
        head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        received = self._received = self._begin(head[:end])
        if wants_websocket(received) and received.step.status == 200 and not received.step.cuts_before_head:
            self.ledger.complete(received)
            self._websocket = WebSocketSession(self, received, head, self._buffer)
            return False
        self._reader = body_reader(received)
        if received.step.early:
            self._answer(received)
        elif (received.header("expect") or "").lower() == "100-continue":
            self.transport.write(_CONTINUE)
        return True

    def _begin(self, head: bytes) -> Received:
        first, *lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, version = first.split(" ")
            headers = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines)]
        except ValueError:
            raise MalformedRequest("the request head is no HTTP/1.1") from None
        authority = next((value for name, value in headers if name.lower() == "host"), "")
        received = self.ledger.begin(self.number, version.removeprefix("HTTP/"), method, target, authority, headers)
        connection = (received.header("connection") or "").lower()
        self._keep_alive = connection != "close" and version == "HTTP/1.1"
        return received

    def _read_body(self, reader: BodyReader) -> bool:
        self._buffer = reader.feed(self._buffer)
        if not reader.done or self._received is None:
            return False
        self._received.body, self._reader = reader.body, None
        self.ledger.complete(self._received)
        if not self._received.step.early:
            self._answer(self._received)
        return True

    def _answer(self, received: Received) -> None:
        self._answering = True
        step = received.step
        answer = answer_for(received, step, self.ledger.next_serial())
        if step.immediate and not step.encoding and isinstance(answer.body, bytes):
            # The benches' fast path: no task and one write for a small answer on a kept connection.
            head = self.head_bytes(answer, step, len(answer.body))
            chunked = _framing(answer, step) is Framing.CHUNKED
            body = b"" if received.method == "HEAD" else answer.body
            self.transport.write(head + (_chunked(body) if chunked else body))
            received.head_sent = True
            step.sent_events += 1
            self.ledger.progress(received, 1, len(body))
            self._answered(received, True)
        else:
            self.spawn(self._play(received, answer))

    async def _play(self, received: Received, answer: Answer) -> None:
        wire = Http1Wire(self, received, _framing(answer, received.step))
        try:
            ended = await Player(received, received.step, wire, self.ledger.progress).play(answer)
        except ConnectionResetError:  # the client left; connection_lost marks it
            return
        self._answered(received, ended)
        if ended and not self.transport.is_closing():
            self.data_received(b"")

    def _answered(self, received: Received, ended: bool) -> None:
        self._answering = False
        if not ended:
            return
        self.ledger.finish(received)
        step = received.step
        told_to_close = step.connection_close or step.content_length is not None
        if told_to_close or not self._keep_alive or step.framing is Framing.CLOSE:
            self.close()
        elif not self.transport.is_reading():
            self.transport.resume_reading()

    def head_bytes(self, answer: Answer, step: Step, length: int | None) -> bytes:
        """Write the head, with padding when the step asks for it."""
        framing = _framing(answer, step)
        headers = list(answer.headers)
        if framing is Framing.CHUNKED:
            headers.append(("transfer-encoding", "chunked"))
        elif framing is Framing.LENGTH:
            announced = length if step.content_length is None else step.content_length
            headers.append(("content-length", str(announced or 0)))
        if step.connection_close or framing is Framing.CLOSE:
            headers.append(("connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        padding = _PAD * (max(step.head_bytes, 0) // len(_PAD))
        status = f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n"
        return (status + lines).encode("latin-1") + padding + b"\r\n"


class Http1Wire:
    """Writes one answer."""

    def __init__(self, connection: Http1Connection, received: Received, framing: Framing) -> None:
        self._connection, self._framing = connection, framing
        self._bodiless = received.method == "HEAD"

    async def head(self, answer: Answer, step: Step, length: int | None) -> None:
        write = self._connection.write
        data = self._connection.head_bytes(answer, step, length)
        if step.trickle:
            for index in range(len(data)):
                await write(data[index : index + 1])
                await self._connection.flush()
        else:
            await write(data[:-2] if step.head_bytes < 0 else data)
        while step.head_bytes < 0:
            await write(_PAD)

    async def body(self, data: bytes, promised: int) -> None:
        if self._bodiless:
            return
        if self._framing is Framing.CHUNKED:
            torn = promised > len(data)
            data = b"%x\r\n%b%b" % (promised, data, b"" if torn else b"\r\n")
        await self._connection.write(data)

    async def end(self) -> None:
        if self._framing is Framing.CHUNKED and not self._bodiless:
            await self._connection.write(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        await self._connection.write(data)

    async def cut(self, how: Cut, code: int) -> None:
        if how in (Cut.RESET, Cut.DROP):
            await self._connection.flush()  # abort() would throw away what the step has already sent
            self._connection.reset()
        else:
            self._connection.close()


def _framing(answer: Answer, step: Step) -> Framing:
    if step.framing:
        return step.framing
    whole = isinstance(answer.body, bytes) or step.content_length is not None
    return Framing.LENGTH if whole else Framing.CHUNKED


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


def _plain_error(message: str) -> bytes:
    body = message.encode()[:BUFFER]
    head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
