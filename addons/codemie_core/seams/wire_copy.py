"""The request head as it goes to the upstream: credentials on, hop-by-hop headers off, on a copy.

`flow.request` is never touched: mitmproxy saves it (`-w`), shows it in mitmweb, and reads its own framing from it
(deleting `Connection` there leaves clients hanging).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from mitmproxy import http
from mitmproxy.connection import Server

from codemie_core.credential import Credential
from codemie_core.scope import address_of, normal_host

_PROXY_ONLY = frozenset({b"proxy-authorization", b"proxy-connection"})
_FRAMING = frozenset({b"", b"content-length", b"transfer-encoding", b"host"})
"""A `Connection` that names these would take the frame off the body, and its rest would be read as a second request."""
HOP_BY_HOP = _PROXY_ONLY | {b"connection", b"keep-alive", b"te", b"trailer"}
"""RFC 9110, 7.6.1. Transfer-Encoding stays: mitmproxy frames the body by it."""
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""HTTP/2 clients can put a space into one, and with it another path before ours."""
_ECHOING = frozenset({b"TRACE", b"TRACK"})
"""The answer to these is the request itself, secrets and all."""
_PORTS = {"http": 80, "https": 443}


def wire_request(
    request: http.Request, credentials: Sequence[Credential], server: Server
) -> tuple[http.Request, Sequence[Credential]]:
    """The request to send to `server`, and the credentials held back because they do not belong there.

    Returns `request` itself when there is nothing to change.
    """
    fitting = [c for c in credentials if c.fits(request.scheme, request.host, request.port, request.path)]
    if fitting and not _is_private(request, server):
        fitting = []
    dropped = _hop_by_hop_of(request)
    for credential in fitting:
        dropped |= {name.lower().encode() for name in (*credential.drops, *credential.headers)}
    fields = tuple(pair for pair in request.headers.fields if pair[0].lower() not in dropped)
    if not fitting and len(fields) == len(request.headers.fields):
        return request, credentials
    # Not dataclasses.replace: mitmproxy's classes would check the type of every field anew, for ten times the price.
    wire = copy.copy(request)
    wire.data = copy.copy(request.data)
    wire.data.headers, wire.data.content = http.Headers(fields), None
    if fitting:
        # Many hosts share an address, and it is by these that its server tells them apart.
        wire.data.authority, wire.host_header = b"", _authority(request)
    for credential in fitting:
        for name, secret in credential.headers.items():
            wire.headers[name] = secret.get_secret_value()
    return wire, [c for c in credentials if c not in fitting]


def _is_private(request: http.Request, server: Server) -> bool:
    """Does nobody but the request's own host get to read it?"""
    method = request.data.method
    if not _METHOD.fullmatch(method) or method.upper() in _ECHOING:
        return False
    if request.scheme == "https":
        # mitmproxy asks for the name in the client's SNI and checks that one, wherever the client wants to go.
        return normal_host(server.sni or "") == normal_host(request.host)
    # Through another proxy everybody on the way could read it, and "this machine" would be the proxy's.
    return server.via is None


def _authority(request: http.Request) -> str:
    address = address_of(request.host, request.port)
    return address.removesuffix(f":{request.port}") if request.port == _PORTS.get(request.scheme) else address


def _hop_by_hop_of(request: http.Request) -> frozenset[bytes]:
    if "upgrade" in request.headers:
        return _PROXY_ONLY  # Connection and Upgrade are the framing of a WebSocket handshake.
    connection = request.headers.get("connection")
    if connection is None:
        return HOP_BY_HOP
    named = {name.strip() for name in connection.lower().encode().split(b",")}
    return HOP_BY_HOP | (named - _FRAMING)
