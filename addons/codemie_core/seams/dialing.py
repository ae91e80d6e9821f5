"""Getting an upstream connection without blocking the stream that wants it.

mitmproxy's own GetHttpConnection pauses the stream until the connection stands, so neither a deadline nor the client's
departure would be noticed meanwhile. A Dial is the same command, answered by an ordinary event.
"""

from __future__ import annotations

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer

from codemie_core.policy import Failure, Reason, connect_failure


class Dial(GetHttpConnection):
    """Ask HttpLayer for a connection; the answer is a GetHttpConnectionCompleted for this very object."""

    blocking = False
    expired = False
    """The connect deadline has passed; its completion is a time-out whatever it says."""
    abandoned = False
    """Nobody waits for it any more."""


def begin_dial(http_layer: HttpLayer, source: layer.Layer, dial: Dial) -> layer.CommandGenerator[None]:
    """Issue the command. It may be answered before this returns: let it be the last thing its caller does."""
    # HttpLayer notes the source of blocking commands only, and looks every dial up there.
    http_layer.command_sources[dial] = source
    yield dial


def give_up_dial(http_layer: HttpLayer, dial: Dial) -> layer.CommandGenerator[None]:
    """Cancel the connection being made for `dial`, unless other streams of the client wait for the same one."""
    for connection, waiting in http_layer.waiting_for_establishment.items():
        if any(other is dial for other in waiting):
            if all(isinstance(other, Dial) and (other.expired or other.abandoned) for other in waiting):
                yield commands.CloseConnection(outermost(http_layer, connection))
            return


def why_not_connected(http_layer: HttpLayer, dial: Dial, error: str) -> Failure:
    """Sort a failed dial, and let the next one dial afresh.

    mitmproxy would answer every further request of this client connection with the first error (get_connection).
    """
    tcp_established = False
    for connection in list(http_layer.connections):
        if not dial.connection_spec_matches(connection) or connection.connected or not connection.error:
            continue
        assert isinstance(connection, Server)
        tcp_established = connection.timestamp_tcp_setup is not None
        connection.error = None
        if not tcp_established and not connection.via:
            del http_layer.connections[connection]  # It was never open, so no event can name it any more.
    if dial.expired:
        return Failure(Reason.CONNECT_TIMEOUT)
    return connect_failure(error, tcp_established)


def outermost(http_layer: HttpLayer, connection: Connection) -> Connection:
    """The connection that is really being opened: behind an outbound proxy it is the one to the proxy."""
    tunnel = getattr(http_layer.connections.get(connection), "tunnel_connection", None)
    return tunnel if isinstance(tunnel, Connection) else connection
