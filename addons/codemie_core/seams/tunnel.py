"""A CONNECT whose bytes pass as they are: no TLS of ours in it, no flow, nothing kept, and a peer may speak first.

mitmproxy decides that later, when the client has spoken, and then by patterns over host, SNI and Host header together;
and it would dial past the outbound proxy. So it would with what it finds unreadable in a CONNECT that it looks into.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mitmproxy.connection import Server
from mitmproxy.http import HTTPFlow, Response
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.tunnel import LayerStack
from mitmproxy.utils import human

from codemie_core.seams.shape import Shape

logger = logging.getLogger(__name__)

SHAPE = Shape(
    name="tunnels",
    functions=(
        "mitmproxy.proxy.layers.tcp:TCPLayer",
        "mitmproxy.proxy.layers.http._upstream_proxy:HttpUpstreamProxy",
        "mitmproxy.proxy.tunnel:LayerStack",
        "mitmproxy.proxy.tunnel:TunnelLayer",
    ),
    fingerprints=frozenset({"a7504c8ed4f7b644", "766c52f7d76faada"}),  # 12.2.0 to 12.2.3; 12.3.0, 12.3.1
)


@dataclass(frozen=True, slots=True)
class Order:
    """How a CONNECT is to be passed through."""

    may_pass: Callable[[], bool]
    """Asked for each piece; where it says no, the tunnel falls silent."""
    via: ServerSpec | None = None
    """The outbound proxy on the way."""
    opened: bool = False
    """mitmproxy looks into it; what turns out to be nothing to look into goes by `via`."""


_orders: WeakKeyDictionary[HTTPFlow, Order] = WeakKeyDictionary()


def order_tunnel(connect: HTTPFlow, order: Order) -> None:
    """Have this CONNECT passed through; to be called from `http_connect`. The last order counts."""
    _orders[connect] = order


def cancel_tunnel(connect: HTTPFlow) -> None:
    """Let mitmproxy look into it after all."""
    _orders.pop(connect, None)


def ordered_tunnel(connect: HTTPFlow) -> Order | None:
    """The order for this CONNECT."""
    return _orders.get(connect)


def make_tunnel(context: Context, order: Order) -> layer.Layer:
    """The layers that carry it out, for a context whose server has its address."""
    if order.via is not None and context.server.via is None:
        context.server.via = order.via
    if order.opened:
        stack = _upstream_proxy.HttpUpstreamProxy.make(context, send_connect=True)
        # Requests have ways of their own, also to where they are sent instead; they would inherit this one.
        context.server.via = None
        return stack[0]
    stack = _upstream_proxy.HttpUpstreamProxy.make(context, send_connect=True) if context.server.via else LayerStack()
    stack /= Tunnel(context, order.may_pass)
    bottom: layer.Layer = stack[0]
    return bottom


def unreachable(server: Server, error: str) -> Response:
    """The answer to a CONNECT that leads nowhere."""
    words = f"Cannot connect to {human.format_address(server.address)}: {error}\n"
    return Response.make(502, words, {"content-type": "text/plain; charset=utf-8"})


class Gated:
    """Lets bytes pass as long as they may."""

    may_pass: Callable[[], bool] | None = None
    """Without it they always may."""

    def passes(self) -> bool:
        """May this piece?"""
        try:
            return self.may_pass is None or self.may_pass()
        except Exception as error:  # Whoever cannot be asked has not said yes.
            logger.error("A tunnel fell silent: %s while asking whether it may go on", type(error).__name__)
            return False


def guard(context: Context, may_pass: Callable[[], bool] | None) -> None:
    """Put a gate before a CONNECT that is being looked into: its TLS is to pass as it is after all."""
    for below in context.layers:
        if isinstance(below, Gated):
            below.may_pass = may_pass


class Tunnel(Gated, TCPLayer):
    """Relays, as long as it may."""

    def __init__(self, context: Context, may_pass: Callable[[], bool]) -> None:
        super().__init__(context, ignore=True)
        self.may_pass = may_pass

    def relay_messages(self, event: events.Event) -> layer.CommandGenerator[None]:
        """mitmproxy's own, behind the gate."""
        if isinstance(event, events.DataReceived) and not self.passes():
            return
        yield from super().relay_messages(event)
