"""Raw HTTP clients that show what really arrived, byte for byte, and how it ended."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

import h2.config
import h2.connection
import h2.events

type Ending = Literal["complete", "cut", "reset"]
type Headers = Sequence[tuple[str, str]]


async def opened(
    port: int, tls: ssl.SSLContext | None = None, through: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to 127.0.0.1; with `through`, a host:port, the proxy there is asked for a tunnel to it first."""
    name = through.rpartition(":")[0] or "localhost"
    if not through:
        return await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name if tls else None)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {through} HTTP/1.1\r\nhost: {through}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"200", head
    if tls is not None:
        await writer.start_tls(tls, server_hostname=name)
    return reader, writer


@dataclass
class Answer:
    """A response as the client got it."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ended: Ending = "cut"
    """complete: properly ended; cut: the connection closed in it (or before it); reset: RST_STREAM."""

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Http1:
    """One HTTP/1.1 connection. `async with Http1(port) as client: await client.send(...)`."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, through: str = "") -> None:
        self._port, self._tls, self._through = port, tls, through

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await opened(self._port, self._tls, self._through)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close without ceremony."""
        self.writer.close()

    async def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> None:
        """Send one request."""
        fields = [("host", "localhost"), *headers]
        if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
            fields.append(("content-length", str(len(body))))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        await self.write(head.encode() + body)

    async def head(self) -> Answer:
        """Read a response head; interim responses are skipped."""
        while True:
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer()
            first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
            answer = Answer(int(first.split(" ")[1]))
            answer.headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
            if answer.status >= 200 or answer.status == 101:
                return answer

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; b"" at its proper end. IncompleteReadError when it is cut."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def read(self, answer: Answer) -> Answer:
        """The rest of a response whose head has been read."""
        if not answer.status or answer.status in (204, 304):
            answer.ended = "complete" if answer.status else "cut"
            return answer
        try:
            if answer.header("transfer-encoding") == "chunked":
                while data := await self.chunk():
                    answer.body += data
            elif (length := answer.header("content-length")) is not None:
                while len(answer.body) < int(length):
                    data = await self.reader.read(65536)
                    if not data:
                        return answer
                    answer.body += data
            else:
                answer.body = await self.reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return answer
        answer.ended = "complete"
        return answer

    async def ask(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send a request and read its whole response."""
        await self.send(method, path, headers, body)
        answer = await self.head()
        if method == "HEAD":
            answer.ended = "complete" if answer.status else "cut"
            return answer
        return await self.read(answer)


class Http2:
    """One HTTP/2 connection over TLS."""

    def __init__(self, port: int, tls: ssl.SSLContext, window: int = 2**20, through: str = "") -> None:
        self._port, self._tls, self._window, self._through = port, tls, window, through

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await opened(self._port, self._tls, self._through)
        assert self.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self._flush()
        self.answers: dict[int, Answer] = {}
        self._done: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Condition()
        self.auto_window = True
        self._task = asyncio.get_running_loop().create_task(self._receive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def leave(self) -> None:
        """Close the connection."""
        self.writer.close()

    async def send(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> int:
        """Begin a request; its stream id."""
        stream = self.connection.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self._done[stream] = asyncio.Event()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        own = [(name.lower(), value) for name, value in headers]
        if body:
            own.append(("content-length", str(len(body))))
        self.connection.send_headers(stream, [*pseudo, *own], end_stream=not body)
        for start in range(0, len(body), 16384):
            piece = body[start : start + 16384]
            needed = len(piece)
            self._flush()
            await self.wait(partial(self._window_allows, stream, needed))
            self.connection.send_data(stream, piece, end_stream=start + 16384 >= len(body))
        self._flush()
        await self.writer.drain()
        return stream

    def reset(self, stream: int) -> None:
        """Give up one request."""
        self.connection.reset_stream(stream, 8)
        self._flush()

    async def wait(self, predicate: object, timeout: float = 60.0) -> None:
        """Until something is true of what arrived."""
        assert callable(predicate)
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(predicate)

    async def ask(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send a request and read its whole response."""
        stream = await self.send(method, path, headers, body)
        return await self.answer(stream)

    async def answer(self, stream: int) -> Answer:
        """Wait for the end of one response."""
        async with asyncio.timeout(60):
            await self._done[stream].wait()
        return self.answers[stream]

    def _window_allows(self, stream: int, size: int) -> bool:
        return self.connection.local_flow_control_window(stream) >= size

    def _flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    async def _receive(self) -> None:
        try:
            while data := await self.reader.read(65536):
                for event in self.connection.receive_data(data):
                    self._take(event)
                self._flush()
                async with self._changed:
                    self._changed.notify_all()
        except (ConnectionError, ssl.SSLError):
            pass
        for done in self._done.values():
            done.set()
        async with self._changed:
            self._changed.notify_all()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            answer = self.answers[event.stream_id]
            fields = [(str(name), str(value)) for name, value in event.headers]
            answer.status = int(dict(fields)[":status"])
            answer.headers = [pair for pair in fields if not pair[0].startswith(":")]
        elif isinstance(event, h2.events.DataReceived):
            self.answers[event.stream_id].body += event.data
            if self.auto_window:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.answers[event.stream_id].ended = "complete"
            self._done[event.stream_id].set()
        elif isinstance(event, h2.events.StreamReset):
            self.answers[event.stream_id].ended = "reset"
            self._done[event.stream_id].set()
