"""The client side of the wire: JSON instead of mitmproxy's HTML pages, and a bound on head sizes.

Subclasses of mitmproxy's HTTP connections, put in their place by name like the attempt machine. They concern requests
so malformed that no flow exists, and protocol errors that reach the client outside the machine.
"""

from __future__ import annotations

import uuid

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    Http1Client,
    Http1Server,
    Http2Server,
    HttpEvent,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode
from mitmproxy.proxy.layers.http._http1 import TBodyReader
from mitmproxy.proxy.layers.http._http1 import make_body_reader as make_stock_reader

from codemie_core.errors import Problem, any_body, api_of, error_body, error_headers
from codemie_core.seams.backpressure import WindowOpened, backlog_of

MAX_HEAD = 256 * 1024
"""Bytes. mitmproxy collects a head of any size; real ones stay below 64 KiB."""


def error_response(status: int, message: str, request: http.Request | None) -> http.Response:
    """An error in JSON, in the shape of the API that the request speaks as far as it is known."""
    code = {413: "request_too_large", 431: "request_head_too_large"}.get(status)
    problem = Problem(status, code or ("malformed_request" if status < 500 else "upstream_error"), message)
    request_id = str(uuid.uuid4())
    if request is None:
        body = any_body(problem)
    else:
        body = error_body(api_of(request.path, request.headers.get, request.host), problem, request_id)
    fields = [(name.encode(), value.encode()) for name, value in error_headers(problem, request_id)]
    return http.Response.make(status, body, fields)


class JsonHttp1Server(Http1Server):
    """HTTP/1 toward the client."""

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """mitmproxy's own, but a protocol error becomes JSON and a response of HTTP/2 gets a frame.

        No generator itself: every chunk of every stream comes through here.
        """
        if isinstance(event, ResponseHeaders):
            return super().send(_framed(event, self.request))
        if isinstance(event, ResponseProtocolError) and not self.response:
            status = event.code.http_status_code()
            if status is not None and self.conn.state & ConnectionState.CAN_WRITE:
                return self._refuse(status, event.message)
        return super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """mitmproxy's own, with its HTML page replaced and a head of endless size refused."""
        if isinstance(event, events.DataReceived) and len(self.buf) > MAX_HEAD and _incomplete(bytes(self.buf)):
            yield from self._refuse(431, f"The request head is larger than {MAX_HEAD // 1024} KiB.")
            self.state = self.done
            return
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData) and command.data.startswith(b"HTTP/1.1 400 "):
                yield from self._refuse(400, "The request is not valid HTTP.", close=False)
            else:
                yield command

    def _refuse(self, status: int, message: str, close: bool = True) -> layer.CommandGenerator[None]:
        response = error_response(status, message, self.request)
        response.headers["connection"] = "close"
        yield commands.SendData(self.conn, http1.assemble_response(response))
        if close:
            yield commands.CloseConnection(self.conn)


def _framed(event: ResponseHeaders, request: http.Request | None) -> ResponseHeaders:
    """A response without a length ends with its connection in HTTP/1, so that a cut looks like its proper end."""
    response = event.response
    framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    bodiless = response.status_code in (101, 204, 304) or request is None or request.method in ("HEAD", "CONNECT")
    if not response.is_http2 or framed or bodiless or request is None or request.http_version != "HTTP/1.1":
        return event
    response = response.copy()
    if event.end_stream:
        response.headers["content-length"] = "0"
    else:
        response.headers["transfer-encoding"] = "chunked"
    return ResponseHeaders(event.stream_id, response, event.end_stream)


class JsonHttp2Server(Http2Server):
    """HTTP/2 toward the client."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        backlog = backlog_of(self.context.client)
        if isinstance(event, ResponseProtocolError) and self._may_still_answer(event):
            yield from self._refuse(event)
        else:
            yield from super()._handle_event(event)
        if backlog is None:
            return
        if isinstance(event, ResponseData):
            backlog.sent(event.stream_id, len(event.data), self.h2_conn)
        elif isinstance(event, (events.DataReceived, ResponseProtocolError)):
            for stream_id in backlog.received(self.h2_conn):
                if waiting := backlog.withheld.pop(stream_id, None):
                    connection, event_id = waiting
                    yield SendHttp(WindowOpened(event_id), connection)

    def _refuse(self, event: ResponseProtocolError) -> layer.CommandGenerator[None]:
        status = event.code.http_status_code()
        assert status is not None
        response = error_response(status, event.message, None)
        fields = [(name.lower(), value) for name, value in response.headers.fields]
        self.h2_conn.send_headers(event.stream_id, [(b":status", b"%d" % status), *fields])
        self.h2_conn.send_data(event.stream_id, response.raw_content or b"", end_stream=True)
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def _may_still_answer(self, event: ResponseProtocolError) -> bool:
        if event.code.http_status_code() is None or not self.is_open_for_us(event.stream_id):
            return False
        return not self.h2_conn.streams[event.stream_id].state_machine.headers_sent


class BoundedHttp1Client(Http1Client):
    """HTTP/1 toward the upstream."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """mitmproxy's own, with a bound on the size of the response head."""
        oversized = isinstance(event, events.DataReceived) and len(self.buf) > MAX_HEAD
        if oversized and self.stream_id is not None and _incomplete(bytes(self.buf)):
            message = f"response head larger than {MAX_HEAD // 1024} KiB"
            yield commands.CloseConnection(self.conn)
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR))
        else:
            yield from super().read_headers(event)


class ReaderWithoutTrailers(ChunkedReader):
    """Reads a chunked body and drops its trailers, which RFC 9110 (6.5.1) allows; mitmproxy raises on them."""

    def __call__(self, buffer: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """The next part of the body."""
        part: h11.Data | h11.EndOfMessage | None = super().__call__(buffer)
        return h11.EndOfMessage() if isinstance(part, h11.EndOfMessage) else part


def make_body_reader(expected_size: int | None) -> TBodyReader:
    """mitmproxy's own, with a chunked reader that survives trailers."""
    return ReaderWithoutTrailers() if expected_size is None else make_stock_reader(expected_size)


def _incomplete(buffer: bytes) -> bool:
    head = buffer[: MAX_HEAD + 4]
    return b"\r\n\r\n" not in head and b"\n\n" not in head
