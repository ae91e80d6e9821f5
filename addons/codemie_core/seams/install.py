"""Puts our HTTP layers in the place of mitmproxy's, after checking that they fit.

The names are looked up in their modules whenever a connection or a request begins, so replacing those attributes serves
every mode.
"""

from __future__ import annotations

import asyncio
import collections

from mitmproxy.connection import Connection
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import _http1

from codemie_core.seams.attempts import AttemptStream
from codemie_core.seams.backpressure import BoundedHttp2Client, hold_back
from codemie_core.seams.dialing import answer_every_dial
from codemie_core.seams.handlers import handler_of
from codemie_core.seams.shape import Shape, require
from codemie_core.seams.wire_errors import BoundedHttp1Client, JsonHttp1Server, JsonHttp2Server, make_body_reader

SHAPE = Shape(
    name="upstream attempts",
    functions=(
        "mitmproxy.proxy.layers.http:HttpStream",
        "mitmproxy.proxy.layers.http:HttpLayer",
        "mitmproxy.proxy.layers.http:HttpClient",
        "mitmproxy.proxy.layers.http:GetHttpConnection",
        "mitmproxy.proxy.layers.http._http1:Http1Connection",
        "mitmproxy.proxy.layers.http._http1:Http1Server",
        "mitmproxy.proxy.layers.http._http1:Http1Client",
        "mitmproxy.proxy.layers.http._http2:Http2Connection",
        "mitmproxy.proxy.layers.http._http2:Http2Server",
        "mitmproxy.proxy.layers.http._http2:Http2Client",
        "mitmproxy.proxy.layers.http._http_h2:BufferedH2Connection",
        "mitmproxy.proxy.layer:Layer",
        "mitmproxy.proxy.server:ConnectionHandler",
        "mitmproxy.proxy.mode_servers:ProxyConnectionHandler",
    ),
    fingerprints=frozenset({"59f2404248274938", "f02597c6db1c0d25"}),  # 12.2.1 to 12.2.3; 12.3.0, 12.3.1
)

_REPLACEMENTS = {
    "HttpStream": AttemptStream,
    "Http1Server": JsonHttp1Server,
    "Http2Server": JsonHttp2Server,
    "Http1Client": BoundedHttp1Client,
    "Http2Client": BoundedHttp2Client,
}


def install() -> None:
    """Replace them. UnsupportedMitmproxy when this mitmproxy is not of a tested shape. Doing it twice is harmless."""
    if installed():
        return
    require(SHAPE)
    for name, replacement in _REPLACEMENTS.items():
        setattr(http_layers, name, replacement)
    _http1.make_body_reader = make_body_reader


def installed() -> bool:
    """Are they in place? Then mitmproxy was of a tested shape, and can no longer be asked."""
    return all(getattr(http_layers, name) is replacement for name, replacement in _REPLACEMENTS.items())


def prepare_connection(client: Connection, max_upstream_connections: int) -> None:
    """What a client connection needs and mitmproxy has no option for.

    It opens at most five connections at a time to an address, and forgets a dial whose peer resets at once.
    """
    if handler := handler_of(client):
        handler.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(max_upstream_connections))
        answer_every_dial(handler)


def prepare_http2(client: Connection) -> None:
    """The client speaks HTTP/2, and mitmproxy would hold whatever it does not read."""
    if handler := handler_of(client):
        hold_back(handler)
