"""What drives the connection of a client, in mitmproxy."""

from __future__ import annotations

from mitmproxy import ctx
from mitmproxy.connection import Connection
from mitmproxy.proxy.server import ConnectionHandler


def handler_of(client: Connection) -> ConnectionHandler | None:
    """Nothing does in a replay."""
    proxyserver = ctx.master.addons.get("proxyserver")
    found: ConnectionHandler | None = proxyserver.connections.get(client.id) if proxyserver else None
    return found
