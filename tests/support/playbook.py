"""Drives the HTTP layers without sockets: events in, commands out, hooks and dials answered by script, time by hand.

    with Playbook(AttemptPlan()) as book:
        book.ask()
        book.respond(503)
        book.advance(1.0)
        assert book.trace == [...]

The layers are mitmproxy's real HttpLayer with the attempt machine in its place. Both ends speak HTTP events instead of
bytes, so that ids and order can be seen, for any number of streams. `trace` tells what happened in words, `seen` holds
the events themselves. An end that is to speak bytes is named in `wires`; `written` holds what went out to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    HttpEvent,
    HTTPMode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._base import HttpConnection, ReceiveHttp
from mitmproxy.test import taddons

from codemie_core import exchange as exchanges
from codemie_core.exchange import BOOK, Attempt, Exchange, exchange_of
from codemie_core.policy import AttemptPlan
from codemie_core.seams import attempts, client_stream, delivery, install, responses, ticker
from codemie_core.seams.attempt_hooks import AttemptHook

type Hook = Callable[..., object]

JSON = (("content-type", "application/json"),)
EVENT_STREAM = (("content-type", "text/event-stream"),)
ASKED = [
    "hook requestheaders",
    "hook request",
    "open",
    "upstream RequestHeaders",
    "upstream RequestData",
    "upstream RequestEndOfMessage",
]
"""The trace of a request that has gone to the upstream over a fresh connection."""
_TIMED = (attempts, client_stream, delivery, exchanges, responses, ticker)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._wall = time.time() - self.now

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self._wall + self.now


@dataclass
class Says(events.ConnectionEvent):
    """A peer's HTTP event, on its way to the end of the layers that stands for this peer."""

    event: HttpEvent


class End(HttpConnection):
    """In the place of the layer that turns HTTP events into bytes."""

    def __init__(self, context: Context, connection: Connection, book: Playbook, name: str) -> None:
        super().__init__(context, connection)
        self._book, self._name = book, name

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Says):
            yield ReceiveHttp(event.event)
        elif isinstance(event, HttpEvent):
            self._book.note(self._name, event)


@dataclass
class Playbook:
    """One client connection."""

    plan: AttemptPlan | None = field(default_factory=AttemptPlan)
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """What addons do: called with the flow, the attempt hooks with flow and attempt. None of them is asked about
    attempts unless it is named here."""
    dials: list[str | None] = field(default_factory=list)
    """How the next dials end: None connects, "pending" waits for `dialed` or for being closed, "hanging" for `dialed`
    alone, everything else is an error."""
    pauses: set[str] = field(default_factory=set)
    """Hooks that do not return until `resume`."""
    options: Mapping[str, object] = field(default_factory=dict)
    alpn: bytes | None = None
    """What the upstream speaks: with b"h2" streams share its connection."""
    client_alpn: bytes | None = None
    wires: set[str] = field(default_factory=set)
    """Ends that speak bytes: "client", "upstream"."""

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.trace: list[str] = []
        self.seen: list[tuple[str, HttpEvent]] = []
        self.flows: dict[int, http.HTTPFlow] = {}
        self.servers: list[Server] = []
        self.wakeups: list[tuple[float, commands.RequestWakeup]] = []
        self.paused: list[commands.StartHook] = []
        self.pending: list[commands.OpenConnection] = []
        self._hanging: list[Connection] = []
        self.written: dict[Connection, bytearray] = {}
        self.asked: list[int] = []
        """Ids under which requests went to the upstream."""

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        self._addons = taddons.context(Proxyserver(), self._listener())
        self._addons.__enter__()
        self._addons.options.update(**self.options)
        shim = SimpleNamespace(monotonic=self.clock.monotonic, time=self.clock.time)
        for module in _TIMED:
            self._patch.setattr(module, "time", shim)
        self._patch.setattr(Exchange, "begin_attempt", self._beginning(Exchange.begin_attempt))
        for name, replacement in install._REPLACEMENTS.items():
            self._patch.setattr(http_layers, name, replacement)
        if "upstream" not in self.wires:
            for name in ("Http1Client", "Http2Client"):
                self._patch.setattr(http_layers, name, lambda context: End(context, context.server, self, "upstream"))
        self.client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=self.clock.time())
        self.client.state, self.client.alpn = ConnectionState.OPEN, self.client_alpn
        self.context = Context(self.client, self._addons.options)
        self.layer = http_layers.HttpLayer(self.context, HTTPMode.regular)
        if "client" not in self.wires:
            self.layer.connections[self.client] = End(self.context.fork(), self.client, self, "client")
        self.feed(events.Start())
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self._addons.__exit__(None, None, None)
        for flow in self.flows.values():
            BOOK.close(exchange_of(flow))

    # What the client does.

    def ask(
        self,
        stream_id: int = 1,
        body: bytes = b"{}",
        path: str = "/v1/messages",
        headers: Sequence[tuple[str, str]] = (),
        trailers: http.Headers | None = None,
        method: str = "POST",
    ) -> None:
        """A whole request."""
        self.begin(stream_id, path, headers, method)
        if body:
            self.client_says(RequestData(stream_id, body))
        if trailers:
            self.client_says(RequestTrailers(stream_id, trailers))
        self.client_says(RequestEndOfMessage(stream_id))

    def begin(
        self,
        stream_id: int = 1,
        path: str = "/v1/messages",
        headers: Sequence[tuple[str, str]] = (),
        method: str = "POST",
    ) -> None:
        """A request head."""
        fields = [(name.encode(), value.encode()) for name, value in headers]
        request = http.Request.make(method, f"http://upstream.test:80{path}", headers=())
        request.headers.fields = ((b"host", b"upstream.test"), *fields)
        self.client_says(RequestHeaders(stream_id, request, end_stream=False))

    def leave(self, stream_id: int = 1, code: ErrorCode = ErrorCode.CLIENT_DISCONNECTED) -> None:
        """The client gives up."""
        self.client_says(RequestProtocolError(stream_id, "client disconnected", code))

    def client_writes(self, data: bytes) -> None:
        self.feed(events.DataReceived(self.client, data))

    def client_says(self, event: HttpEvent) -> None:
        self.feed(Says(self.client, event))

    # What the upstream does, by default about the newest request.

    def respond(
        self,
        status: int = 200,
        headers: Sequence[tuple[str, str]] = JSON,
        *data: bytes,
        body: bytes | None = None,
        end_stream: bool = False,
        to: int | None = None,
    ) -> None:
        """A head, then chunks; with `body` a whole response."""
        fields = [(name.encode(), value.encode()) for name, value in headers]
        now = self.clock.time()
        response = http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), None, None, now, None)
        if body is not None:
            response.headers["content-length"] = str(len(body))
        to = self._id(to)
        self.upstream_says(ResponseHeaders(to, response, end_stream))
        self.send(*data, *([body] if body else ()), to=to)
        if body is not None:
            self.end(to)

    def send(self, *data: bytes, to: int | None = None) -> None:
        """Chunks of a body."""
        for chunk in data:
            self.upstream_says(ResponseData(self._id(to), chunk))

    def end(self, to: int | None = None, trailers: http.Headers | None = None) -> None:
        """The response is complete."""
        if trailers:
            self.upstream_says(ResponseTrailers(self._id(to), trailers))
        self.upstream_says(ResponseEndOfMessage(self._id(to)))

    def break_off(self, message: str = "server closed connection", to: int | None = None) -> None:
        """The response breaks off."""
        self.upstream_says(ResponseProtocolError(self._id(to), message, ErrorCode.GENERIC_SERVER_ERROR))

    def upstream_writes(self, data: bytes) -> None:
        self.feed(events.DataReceived(self.servers[-1], data))

    def upstream_says(self, event: HttpEvent) -> None:
        self.feed(Says(self.servers[-1], event))

    def dialed(self, error: str | None = None) -> None:
        """The oldest pending dial ends."""
        self._dial_ends(self.pending.pop(0), error)

    # What the machine does around it.

    def resume(self) -> None:
        """The oldest paused hook returns."""
        self._run(self.paused.pop(0))

    def advance(self, seconds: float) -> None:
        """Time passes; whoever asked to be woken in it is woken in order."""
        end = self.clock.now + seconds
        while due := [entry for entry in self.wakeups if entry[0] <= end]:
            entry = min(due, key=lambda waiting: waiting[0])
            self.wakeups.remove(entry)
            self.clock.now = max(self.clock.now, entry[0])
            self.feed(events.Wakeup(entry[1]))
        self.clock.now = end

    # What came of it.

    def exchange(self, stream_id: int = 1) -> Exchange:
        return exchange_of(self.flows[stream_id])

    def reasons(self, stream_id: int = 1) -> list[str | None]:
        """Why each attempt failed."""
        attempts = self.exchange(stream_id).attempts
        return [str(attempt.failure.reason) if attempt.failure else None for attempt in attempts]

    def sent_to(self, name: str, *kinds: type[HttpEvent]) -> list[Any]:
        """The events that went to "client" or "upstream"."""
        return [event for end, event in self.seen if end == name and isinstance(event, kinds or HttpEvent)]

    def response(self, stream_id: int = 1) -> http.Response:
        """The head the client got."""
        (head,) = [event for event in self.sent_to("client", ResponseHeaders) if event.stream_id == stream_id]
        response: http.Response = head.response
        return response

    def body(self, stream_id: int = 1) -> bytes:
        """All that followed it."""
        return b"".join(event.data for event in self.sent_to("client", ResponseData) if event.stream_id == stream_id)

    def ended(self, stream_id: int = 1) -> bool:
        """Did the client get the proper end?"""
        return any(event.stream_id == stream_id for event in self.sent_to("client", ResponseEndOfMessage))

    def count(self, words: str) -> int:
        """How often this is in the trace."""
        return self.trace.count(words)

    def taken(self, connection: Connection) -> bytes:
        """What was written to this connection since it was asked for last."""
        return bytes(self.written.pop(connection, b""))

    def note(self, name: str, event: HttpEvent) -> None:
        """An end of the layers got an event."""
        self.seen.append((name, event))
        words = f"{name} {type(event).__name__}"
        if isinstance(event, ResponseHeaders):
            words += f" {event.response.status_code}"
        if isinstance(event, (RequestProtocolError, ResponseProtocolError)):
            words += f" {event.code.name}"
        if isinstance(event, RequestHeaders):
            self.asked.append(event.stream_id)
        self.trace.append(words)

    def feed(self, event: events.Event) -> None:
        """One event into the layers; what they command is done before this returns, as far as the script says."""
        todo: list[commands.Command] = []
        # As in mitmproxy's server: whatever a command leads to comes after all commands of this event.
        for command in self.layer.handle_event(event):
            self._note_command(command)
            todo.append(command)
        for command in todo:
            self._do(command)

    def _note_command(self, command: commands.Command) -> None:
        match command:
            case AttemptHook():
                self.trace.append(f"hook {command.event.name}")
            case commands.StartHook():
                self.trace.append(f"hook {command.name}")
            case commands.OpenConnection():
                self.trace.append("open")
            case commands.CloseConnection():
                self.trace.append("close")
            case commands.SendData():
                self.written.setdefault(command.connection, bytearray()).extend(command.data)
            case commands.Log() | commands.RequestWakeup():
                pass
            case _:
                raise AssertionError(f"unexpected: {command}")

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.StartHook):
            name = command.event.name if isinstance(command, AttemptHook) else command.name
            self.paused.append(command)
            if name not in self.pauses:
                self.paused.remove(command)
                self._run(command)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeups.append((self.clock.now + command.delay, command))
        elif isinstance(command, commands.OpenConnection):
            reply = self.dials.pop(0) if self.dials else None
            if reply in ("pending", "hanging"):
                self.pending.append(command)
                if reply == "hanging":
                    self._hanging.append(command.connection)
            else:
                self._dial_ends(command, reply)
        elif isinstance(command, commands.CloseConnection):
            self._close(command.connection)

    def _run(self, hook: commands.StartHook) -> None:
        if isinstance(hook, AttemptHook):
            self.hooks[hook.event.name](*hook.event.args())
        else:
            (flow,) = hook.args()
            self._mitmproxy_hook(hook.name, flow)
        self.feed(events.HookCompleted(hook))

    def _mitmproxy_hook(self, name: str, flow: Any) -> None:
        if name == "requestheaders":
            self.flows[self._stream_of(flow)] = flow
            exchange_of(flow).plan = self.plan
        if name == "responseheaders":
            flow.response.stream = True
        if hook := self.hooks.get(name):
            hook(flow)

    def _stream_of(self, flow: http.HTTPFlow) -> int:
        return next(number for number, stream in self.layer.streams.items() if getattr(stream, "flow", None) is flow)

    def _dial_ends(self, command: commands.OpenConnection, error: str | None) -> None:
        server = command.connection
        assert isinstance(server, Server)
        if error is None:
            server.timestamp_start = server.timestamp_tcp_setup = self.clock.time()
            server.state, server.alpn = ConnectionState.OPEN, self.alpn
            self.servers.append(server)
        server.error = error
        self.feed(events.OpenConnectionCompleted(command, error))

    def _close(self, connection: Connection) -> None:
        # mitmproxy cancels the task that dials or reads.
        for command in self.pending:
            if command.connection is connection:
                if connection not in self._hanging:
                    self.pending.remove(command)
                    self._dial_ends(command, "connection cancelled")
                return
        if connection.state is not ConnectionState.CLOSED:
            connection.state = ConnectionState.CLOSED
            self.feed(events.ConnectionClosed(connection))

    def _id(self, to: int | None) -> int:
        return self.asked[-1] if to is None else to

    def _listener(self) -> object:
        names = {"upstream_response", "upstream_failed"} & self.hooks.keys()
        return type("Listener", (), {name: lambda self, *args: None for name in names})()

    def _beginning(self, begin: Callable[[Exchange, str, int], Attempt]) -> Callable[[Exchange, str, int], Attempt]:
        def begin_attempt(exchange: Exchange, host: str, port: int) -> Attempt:
            attempt = begin(exchange, host, port)
            attempt.began = self.clock.now  # The dataclass took the real clock.
            return attempt

        return begin_attempt
