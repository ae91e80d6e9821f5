"""WebSockets with bounds and proper endings, in the place of mitmproxy's layer.

mitmproxy relays messages of any size, keeps all of them as long as the connection lives, and passes the loss of one
side on as a normal closure. It closes TCP right after its close frame, and what the other side was still sending then
becomes a reset that may overtake the frame. This layer has the bounds of `SocketLimits`, tells each side why it ends
(codemie_core/websocket/closing.py) and gives it a moment to answer. An upstream that owes an answer may not be silent
for longer than in a stream over HTTP. WebSockets out of scope are mitmproxy's own; `websocket_guard` trims what it
keeps of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import wsproto
from mitmproxy import ctx, http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import websocket as websocket_layers
from mitmproxy.proxy.layers.websocket import (
    WebsocketEndHook,
    WebsocketLayer,
    WebsocketMessageHook,
    WebSocketMessageInjected,
    WebsocketStartHook,
)
from mitmproxy.websocket import WebSocketMessage
from wsproto.connection import ConnectionState
from wsproto.frame_protocol import CloseReason, Opcode

from codemie_core.containment import Mishap
from codemie_core.exchange import BOOK, Terminal
from codemie_core.policy import Reason
from codemie_core.seams.backpressure import is_held_up
from codemie_core.seams.shape import Shape
from codemie_core.seams.socket_side import Side, frames_of
from codemie_core.websocket import closing
from codemie_core.websocket.assembly import Assembly
from codemie_core.websocket.closing import Close, Ending
from codemie_core.websocket.deflate import agreed_deflate
from codemie_core.websocket.keeping import KeptMessages
from codemie_core.websocket.turns import OpenTurns

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
_TURN_ENDS = {closing.STOPPING: Terminal.PROXY_STOPPED, closing.KEY_REVOKED: Terminal.REFUSED}
"""What becomes of a turn that is open when we ourselves end its WebSocket; any other ending is the upstream's fault."""


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
_guarded: WeakKeyDictionary[http.HTTPFlow, OpenTurns] = WeakKeyDictionary()


class CloseAsked(events.MessageInjected[Ending]):
    """Somebody on this side wants the WebSocket to end."""


class GuardedWebsocketLayer(WebsocketLayer):
    """One WebSocket of a client."""

    client_ws: Side
    server_ws: Side
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
        agreed: str = self.flow.response.headers.get("sec-websocket-extensions", "")
        readable = agreed_deflate(agreed, limits.max_message) is not None
        self.client_ws = Side(wsproto.ConnectionType.SERVER, agreed, limits.max_message, self.context.client)
        self.server_ws = Side(wsproto.ConnectionType.CLIENT, agreed, limits.max_message, self.context.server)
        self._parts = {ws: Assembly(limits.max_message) for ws in (self.client_ws, self.server_ws)}
        self._kept = KeptMessages(limits.keep_messages, limits.keep_bytes)
        self._awaited: set[Side] = set()
        self._deaf: set[Side] = set()
        self._turns = OpenTurns()
        plan = self._exchange.plan
        self._patience = plan.idle_timeout if plan is not None else 0.0
        self._heard = 0.0
        self._timer: commands.RequestWakeup | None = None
        _guarded[self.flow] = self._turns
        yield WebsocketStartHook(self.flow)
        self._state = self._guard
        if not readable:
            yield from self._end(None, closing.UNREADABLE, Terminal.UPSTREAM_ERROR)

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
        if isinstance(event, events.Wakeup):
            yield from self._look_at_the_time()
            return
        assert isinstance(event, events.DataReceived | events.ConnectionClosed)
        source = self.client_ws if event.connection == self.context.client else self.server_ws
        if source is self.server_ws:
            self._heard = time.monotonic()
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

    def _piece(self, source: Side, said: wsproto.events.Message[Any]) -> layer.CommandGenerator[None]:
        text = isinstance(said.data, str)
        parts = self._parts[source]
        if not parts.add(said.data.encode() if text else bytes(said.data), said.frame_finished):
            yield from self._too_large(source)
        elif said.message_finished:
            yield from self._message(source, parts.take(), Opcode.TEXT if text else Opcode.BINARY)

    def _message(
        self, source: Side, frames: list[bytes], kind: Opcode, injected: bool = False
    ) -> layer.CommandGenerator[None]:
        assert self.flow.websocket is not None
        whole, other = b"".join(frames), self._other(source)
        message = WebSocketMessage(kind, source is self.client_ws, whole, injected=injected)
        self.flow.websocket.messages.append(message)
        yield WebsocketMessageHook(self.flow)
        if not message.dropped:
            yield from other.message(frames_of(message, frames, whole), kind)
            if self._turns.said(message.content, message.from_client):
                yield from self._begin_to_wait()
        self._kept.added(self.flow.websocket.messages)

    def _begin_to_wait(self) -> layer.CommandGenerator[None]:
        """A turn was asked for. A wakeup cannot be cancelled: there is one at a time, and none between turns."""
        self._heard = time.monotonic()
        if self._timer is None and self._patience:
            yield from self._wake_in(self._patience)

    def _wake_in(self, seconds: float) -> layer.CommandGenerator[None]:
        self._timer = commands.RequestWakeup(seconds)
        yield self._timer

    def _look_at_the_time(self) -> layer.CommandGenerator[None]:
        """Anything that the upstream sends shows that it is there, a ping too; held up, it can send nothing."""
        self._timer = None
        if not self._turns:
            return
        if is_held_up(self.context.client):
            self._heard = time.monotonic()
        left = self._heard + self._patience - time.monotonic()
        if left > 0:
            yield from self._wake_in(left)
        else:
            self._exchange.end(Terminal.TRUNCATED, Reason.IDLE_TIMEOUT)
            yield from self._end(None, closing.SILENT)

    def _closed(self, source: Side, said: wsproto.events.CloseConnection) -> layer.CommandGenerator[None]:
        client = source is self.client_ws
        own = Close(int(said.code), said.reason or "")
        if source.state is ConnectionState.REMOTE_CLOSING:
            yield from self._end(client, Ending(own, own))
        elif source.state is ConnectionState.CLOSED:
            ended = None if client else Terminal.TRUNCATED
            yield from self._end(client, closing.lost(client), ended, own)
        elif said.code == CloseReason.MESSAGE_TOO_BIG:
            self._deaf.add(source)
            yield from self._too_large(source)
        else:
            self._deaf.add(source)
            ended = Terminal.REFUSED if client else Terminal.UPSTREAM_ERROR
            yield from self._end(client, closing.broken(client, own), ended, own)

    def _too_large(self, source: Side) -> layer.CommandGenerator[None]:
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
        if ended is None and self._turns:
            ended = self._ending_of_turn(client, ending)
        if ended is not None:
            left = ended is Terminal.CLIENT_CANCELLED  # Over HTTP nothing is said of it either.
            self._exchange.end(ended, None if left else shown.reason or f"closed with {shown.code}")
        for ws, close in ((self.server_ws, ending.upstream), (self.client_ws, ending.client)):
            if ws.state in _OPEN:
                code = CloseReason.NO_STATUS_RCVD if close.code == closing.NO_CODE else close.code
                yield ws.send2(wsproto.events.CloseConnection(code, close.reason or None))
            if ws.state is ConnectionState.LOCAL_CLOSING:
                self._awaited.add(ws)
            else:
                yield commands.CloseConnection(ws.conn)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
        _guarded.pop(self.flow, None)
        self._parts.clear()
        self._state = self._linger
        if self._awaited:
            yield from self._wake_in(LINGER)

    def _ending_of_turn(self, client: bool | None, ending: Ending) -> Terminal:
        if client is None:
            return _TURN_ENDS.get(ending, Terminal.UPSTREAM_ERROR)
        return Terminal.CLIENT_CANCELLED if client else Terminal.TRUNCATED

    def _linger(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Wait for the answers to our close frames, and let all else go."""
        late = isinstance(event, events.Wakeup) and event.command is self._timer
        for ws in list(self._awaited):
            if late or (
                isinstance(event, events.ConnectionEvent)
                and event.connection == ws.conn
                and ws.is_over(event, ws in self._deaf)
            ):
                self._awaited.discard(ws)
                yield commands.CloseConnection(ws.conn)

    def _other(self, ws: Side) -> Side:
        return self.server_ws if ws is self.client_ws else self.client_ws


def install() -> str | None:
    """Put the layer in place; why not, where this mitmproxy is not of a tested shape. Doing it twice is harmless."""
    problem = None if installed() else SHAPE.mismatch()
    if problem is None:
        websocket_layers.WebsocketLayer = GuardedWebsocketLayer  # type: ignore[misc] # looked up there by name
    return problem


def installed() -> bool:
    """Is it in place? Then mitmproxy was of a tested shape, and can no longer be asked."""
    return websocket_layers.WebsocketLayer is GuardedWebsocketLayer


def is_guarded(flow: http.HTTPFlow) -> bool:
    """Is it open, and in our hands? Others are mitmproxy's own."""
    return flow in _guarded


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


def idle_sockets() -> int:
    """How many of them have a client that waits for no answer."""
    return sum(not turns for turns in _guarded.values())
