"""Puts our HTTP layers in the place of mitmproxy's, after checking that they fit.

The names are looked up in `mitmproxy.proxy.layers.http` whenever a connection or a request begins, so replacing the
attributes of that one module serves every mode.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Any

from mitmproxy.proxy.layers import http as http_layers

from codemie_core.seams.attempts import AttemptStream
from codemie_core.seams.shape import Shape, require
from codemie_core.seams.wire_errors import BoundedHttp1Client, JsonHttp1Server, JsonHttp2Server

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
        "mitmproxy.proxy.layer:Layer",
        "mitmproxy.proxy.server:ConnectionHandler",
        "mitmproxy.proxy.mode_servers:ProxyConnectionHandler",
    ),
    fingerprints=frozenset({"d5591d7fdec67ae1"}),  # 12.2.1 to 12.2.3
)

_REPLACEMENTS = {
    "HttpStream": AttemptStream,
    "Http1Server": JsonHttp1Server,
    "Http2Server": JsonHttp2Server,
    "Http1Client": BoundedHttp1Client,
}


def install() -> None:
    """Replace them. UnsupportedMitmproxy when this mitmproxy is not of a tested shape. Doing it twice is harmless."""
    require(SHAPE)
    for name, replacement in _REPLACEMENTS.items():
        setattr(http_layers, name, replacement)


def allow_upstream_connections(handler: Any, limit: int) -> None:
    """mitmproxy opens at most five connections at a time per client and address; let it open more."""
    handler.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(limit))
