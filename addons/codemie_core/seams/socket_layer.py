"""WebSockets with bounds and proper endings, in the place of mitmproxy's layer.

mitmproxy relays messages of any size, keeps all of them as long as the connection lives, and passes the loss of one
side on as a normal closure. It closes TCP right after its close frame, and what the other side was still sending then
becomes a reset that may overtake the frame. This layer has the bounds of `LIMITS`, tells each side why it ends
(codemie_core/websocket/closing.py) and gives it a moment to answer. WebSockets out of scope are mitmproxy's own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import wsproto
from mitmproxy import ctx, http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import websocket as websocket_layers
from mitmproxy.proxy.layers.websocket import (
    Fragmentizer,
    WebsocketConnection,
    WebsocketEndHook,
    WebsocketLayer,
    WebsocketMessageHook,
    WebSocketMessageInjected,
    WebsocketStartHook,
)
from mitmproxy.websocket import WebSocketMessage
from wsproto.connection import ConnectionState
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode
from wsproto.utilities import LocalProtocolError, split_comma_header

from codemie_core.containment import Mishap
from codemie_core.exchange import BOOK, Terminal
from codemie_core.seams.shape import Shape
from codemie_core.websocket import closing
from codemie_core.websocket.assembly import Assembly
from codemie_core.websocket.closing import Close, Ending
from codemie_core.websocket.deflate import BoundedDeflate
from codemie_core.websocket.keeping import KeptMessages

logger = logging.getLogger(__name__)

SHAPE = Shape(
    name="WebSocket bounds",
    functions=(
        "mitmproxy.proxy.layers.websocket:WebsocketConnection",
        "mitmproxy.proxy.layers.websocket:WebsocketLayer",
        "mitmproxy.proxy.layers.websocket:Fragmentizer",
    ),
    fingerprints=frozenset({"11c5b0bdb3ecfd90"}),  # 12.2.3 to 12.3.1
)

LINGER = 2.0
"""Seconds that a side may take to answer our close frame."""
_OPEN = frozenset({ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING})


@dataclass(slots=True)
class SocketLimits:
    """What `websocket_guard` asks for; None while it is not at work."""

    max_message: int
    keep_messages: int
    keep_bytes: int


@dataclass(slots=True)
class _Current:
    limits: SocketLimits | None = None


CURRENT = _Current()
_guarded: WeakSet[http.HTTPFlow] = WeakSet()


class CloseAsked(events.MessageInjected[Ending]):
    """Somebody on this side wants the WebSocket to end."""


class GuardedWebsocketLayer(WebsocketLayer):
    """One WebSocket of a client."""

    _state: Callable[[events.Event], layer.CommandGenerator[None]] | None = None

    def __init__(self, context: Context, flow: http.HTTPFlow) -> None:
        super().__init__(context, flow)
        exchange = BOOK.known(flow)
        if exchange is not None and exchange.scoped and CURRENT.limits is not None:
            self._exchange = exchange
            self._limits = CURRENT.limits
            self._state = self._begin

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        # mitmproxy's own `start` puts its next state in the place of this method.
        return self._state(event) if self._state is not None else self.start(event)

    def _begin(self, _: events.Event) -> layer.CommandGenerator[None]:
        assert self.flow.response is not None
        limits = self._limits
        offered: str = self.flow.response.headers.get("sec-websocket-extensions", "")
        agreed = [one for one in split_comma_header(offered.encode("ascii", "replace")) if _is_deflate(one)]
        ends = (
            (wsproto.ConnectionType.SERVER, self.context.client),
            (wsproto.ConnectionType.CLIENT, self.context.server),
        )
        self.client_ws, self.server_ws = (
            WebsocketConnection(kind, [_deflate(one, limits.max_message) for one in agreed], conn=conn)
            for kind, conn in ends
        )
        self._parts = {ws: Assembly(limits.max_message) for ws in (self.client_ws, self.server_ws)}
        self._kept = KeptMessages(limits.keep_messages, limits.keep_bytes)
        self._awaited: set[WebsocketConnection] = set()
        _guarded.add(self.flow)
        yield WebsocketStartHook(self.flow)
        self._state = self._guard

    def _guard(self, event: events.Event) -> layer.CommandGenerator[None]:
        """An exception in here would leave both sides waiting for ever."""
        try:
            yield from self._relay(event)
        except Exception as error:
            mishap = Mishap.of("", type(event).__name__, error, self.flow)
            logger.error("A WebSocket failed on a %s", mishap.text)
            yield from self._end(None, closing.PROXY_FAILED, Terminal.UPSTREAM_ERROR)

    def _relay(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, CloseAsked):
            yield from self._end(None, event.message)
            return
        if isinstance(event, WebSocketMessageInjected):
            source = self.client_ws if event.message.from_client else self.server_ws
            yield from self._message(source, [event.message.content], event.message.type, injected=True)
            return
        assert isinstance(event, events.DataReceived | events.ConnectionClosed)
        source = self.client_ws if event.connection == self.context.client else self.server_ws
        source.receive_data(event.data if isinstance(event, events.DataReceived) else None)
        for said in source.events():
            if isinstance(said, wsproto.events.Message):
                yield from self._piece(source, said)
            elif isinstance(said, wsproto.events.Ping | wsproto.events.Pong):
                yield self._other(source).send2(said)
            elif isinstance(said, wsproto.events.CloseConnection):
                yield from self._closed(source, said)
            if self.flow.websocket is None or self.flow.websocket.timestamp_end is not None:
                return

    def _piece(self, source: WebsocketConnection, said: wsproto.events.Message[Any]) -> layer.CommandGenerator[None]:
        text = isinstance(said.data, str)
        parts = self._parts[source]
        if not parts.add(said.data.encode() if text else bytes(said.data), said.frame_finished):
            yield from self._too_large(source)
        elif said.message_finished:
            yield from self._message(source, parts.take(), Opcode.TEXT if text else Opcode.BINARY)

    def _message(
        self, source: WebsocketConnection, frames: list[bytes], kind: Opcode, injected: bool = False
    ) -> layer.CommandGenerator[None]:
        assert self.flow.websocket is not None
        message = WebSocketMessage(kind, source is self.client_ws, b"".join(frames), injected=injected)
        self.flow.websocket.messages.append(message)
        yield WebsocketMessageHook(self.flow)
        if not message.dropped:
            for frame in Fragmentizer(frames, message.is_text)(message.content):
                yield self._other(source).send2(frame)
        self._kept.added(self.flow.websocket.messages)

    def _closed(
        self, source: WebsocketConnection, said: wsproto.events.CloseConnection
    ) -> layer.CommandGenerator[None]:
        client = source is self.client_ws
        own = Close(int(said.code), said.reason or "")
        if source.state is ConnectionState.REMOTE_CLOSING:
            yield from self._end(client, Ending(own, own))
        elif source.state is ConnectionState.CLOSED:
            ended = None if client else Terminal.TRUNCATED
            yield from self._end(client, closing.lost(client), ended, own)
        elif said.code == CloseReason.MESSAGE_TOO_BIG:
            yield from self._too_large(source)
        else:
            ended = Terminal.REFUSED if client else Terminal.UPSTREAM_ERROR
            yield from self._end(client, closing.broken(client, own), ended, own)

    def _too_large(self, source: WebsocketConnection) -> layer.CommandGenerator[None]:
        client = source is self.client_ws
        ending = closing.too_large(client, self._limits.max_message)
        yield from self._end(client, ending, Terminal.REFUSED if client else Terminal.UPSTREAM_ERROR)

    def _end(
        self, client: bool | None, ending: Ending, ended: Terminal | None = None, shown: Close | None = None
    ) -> layer.CommandGenerator[None]:
        """Tell both sides. `client`: did it come from there? None where it is the proxy's own wish."""
        data = self.flow.websocket
        assert data is not None
        if data.timestamp_end is not None:
            return
        shown = shown or ending.client
        data.timestamp_end, data.closed_by_client = time.time(), client
        data.close_code, data.close_reason = shown.code, shown.reason
        if ended is not None:
            self._exchange.end(ended, shown.reason or f"closed with {shown.code}")
        for ws, close in ((self.server_ws, ending.upstream), (self.client_ws, ending.client)):
            if ws.state in _OPEN:
                yield ws.send2(wsproto.events.CloseConnection(close.code, close.reason or None))
            if ws.state is ConnectionState.LOCAL_CLOSING:
                self._awaited.add(ws)
            else:
                yield commands.CloseConnection(ws.conn)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
        _guarded.discard(self.flow)
        self._parts.clear()
        self._state = self._linger
        if self._awaited:
            yield commands.RequestWakeup(LINGER)

    def _linger(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Wait for the answers to our close frames, and let all else go."""
        for ws in list(self._awaited):
            if isinstance(event, events.Wakeup) or (
                isinstance(event, events.ConnectionEvent) and event.connection == ws.conn and _is_over(ws, event)
            ):
                self._awaited.discard(ws)
                yield commands.CloseConnection(ws.conn)

    def _other(self, ws: WebsocketConnection) -> WebsocketConnection:
        return self.server_ws if ws is self.client_ws else self.client_ws


def _is_over(ws: WebsocketConnection, event: events.ConnectionEvent) -> bool:
    if not isinstance(event, events.DataReceived):
        return isinstance(event, events.ConnectionClosed)
    try:
        ws.receive_data(event.data)
        return any(isinstance(said, wsproto.events.CloseConnection) for said in ws.events())
    except LocalProtocolError:
        return True


def _is_deflate(extension: str) -> bool:
    return extension.partition(";")[0].strip() == PerMessageDeflate.name


def _deflate(agreed: str, most: int) -> BoundedDeflate:
    deflate = BoundedDeflate(most)
    deflate.finalize(agreed)
    return deflate


def install() -> str | None:
    """Put the layer in place; why not, where this mitmproxy is not of a tested shape. Doing it twice is harmless."""
    problem = None if installed() else SHAPE.mismatch()
    if problem is None:
        websocket_layers.WebsocketLayer = GuardedWebsocketLayer  # type: ignore[misc] # looked up there by name
    return problem


def installed() -> bool:
    """Is it in place? Then mitmproxy was of a tested shape, and can no longer be asked."""
    return websocket_layers.WebsocketLayer is GuardedWebsocketLayer


def close_socket(flow: http.HTTPFlow, ending: Ending) -> bool:
    """End an open WebSocket once the hooks that run now are through; False where it is not in our hands."""
    if flow not in _guarded:
        return False
    asyncio.get_running_loop().call_soon(_ask, flow, ending)
    return True


def _ask(flow: http.HTTPFlow, ending: Ending) -> None:
    proxyserver = ctx.master.addons.get("proxyserver")
    if proxyserver is not None and flow in _guarded and flow.client_conn.id in proxyserver.connections:
        proxyserver.inject_event(CloseAsked(flow, ending))


def open_sockets() -> list[http.HTTPFlow]:
    """All that are open now."""
    return list(_guarded)
