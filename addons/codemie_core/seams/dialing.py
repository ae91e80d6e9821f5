"""Getting an upstream connection without blocking the stream that wants it.

mitmproxy's own GetHttpConnection pauses the stream until the connection stands, so neither a deadline nor the client's
departure would be noticed meanwhile. A Dial is the same command, answered by an ordinary event.
"""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakSet

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import human

from codemie_core.policy import Failure, Reason, connect_failure

_given_up: WeakSet[Connection] = WeakSet()
"""Connections that nobody waits for any more, though their making may go on."""


class Dial(GetHttpConnection):
    """Ask HttpLayer for a connection; the answer is a GetHttpConnectionCompleted for this very object."""

    blocking = False
    abandoned = False
    """Nobody waits for it any more."""

    def connection_spec_matches(self, connection: Connection) -> bool:
        """mitmproxy's own; but a dial never joins those who wait for a connection that was given up."""
        return connection not in _given_up and super().connection_spec_matches(connection)


def begin_dial(http_layer: HttpLayer, source: layer.Layer, dial: Dial) -> layer.CommandGenerator[None]:
    """Issue the command. It may be answered before this returns: let it be the last thing its caller does."""
    # HttpLayer notes the source of blocking commands only, and looks every dial up there.
    http_layer.command_sources[dial] = source
    yield dial


def give_up_dial(http_layer: HttpLayer, dial: Dial) -> layer.CommandGenerator[None]:
    """Cancel the connection being made for `dial`, unless other streams of the client wait for the same one."""
    dial.abandoned = True
    for connection, waiting in http_layer.waiting_for_establishment.items():
        if any(other is dial for other in waiting):
            if all(isinstance(other, Dial) and other.abandoned for other in waiting):
                _given_up.add(connection)
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
        _forget(http_layer, connection)
    outbound = human.format_address(dial.via[1]) if dial.via else ""
    failure = connect_failure(error, tcp_established, outbound)
    return replace(failure, detail=_dialed(dial)) if failure.reason is Reason.LEADS_BACK else failure


def _dialed(dial: Dial) -> str:
    host, port = dial.via[1] if dial.via else dial.address
    return f"the outbound proxy on the way to it is {host}:{port}" if dial.via else f"{host}:{port}"


def forget_given_up(http_layer: HttpLayer) -> None:
    """Let go of connections that nobody waited for when they failed."""
    for connection in list(http_layer.connections):
        if connection in _given_up and connection not in http_layer.waiting_for_establishment:
            assert isinstance(connection, Server)
            _forget(http_layer, connection)


def _forget(http_layer: HttpLayer, connection: Server) -> None:
    # What was never open is named by no event any more; the rest goes with the client connection.
    if connection.timestamp_tcp_setup is None and not connection.via:
        del http_layer.connections[connection]


def answer_every_dial(handler: ConnectionHandler) -> None:
    """Let a dial fail whose peer is gone before mitmproxy has asked for its name.

    mitmproxy's `open_connection` ends in an AssertionError then, and nobody is ever told.
    """
    open_connection = handler.open_connection

    async def open_and_tell(command: commands.OpenConnection) -> None:
        try:
            await open_connection(command)
        except AssertionError:
            connection = command.connection
            if connection.peername is not None:
                raise
            connection.state, connection.error = ConnectionState.CLOSED, "connection reset by peer"
            transport = handler.transports.pop(connection, None)
            if transport is not None and transport.writer is not None:
                transport.writer.close()
            await handler.server_event(events.OpenConnectionCompleted(command, connection.error))

    handler.open_connection = open_and_tell  # type: ignore[method-assign] # an instance's own, mitmproxy calls it by name


def outermost(http_layer: HttpLayer, connection: Connection) -> Connection:
    """The connection that is really being opened: behind an outbound proxy it is the one to the proxy."""
    tunnel = getattr(http_layer.connections.get(connection), "tunnel_connection", None)
    return tunnel if isinstance(tunnel, Connection) else connection
