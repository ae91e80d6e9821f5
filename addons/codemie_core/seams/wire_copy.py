"""The request head as it goes to the upstream: credentials on, hop-by-hop headers off, on a copy.

`flow.request` is never touched: mitmproxy saves it (`-w`), shows it in mitmweb, and reads its own framing from it
(deleting `Connection` there leaves clients hanging).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from mitmproxy import http

from codemie_core.credential import Credential

_PROXY_ONLY = frozenset({b"proxy-authorization", b"proxy-connection"})
_FRAMING = frozenset({b"", b"content-length", b"transfer-encoding", b"host"})
"""A `Connection` that names these would take the frame off the body, and its rest would be read as a second request."""
HOP_BY_HOP = _PROXY_ONLY | {b"connection", b"keep-alive", b"te", b"trailer"}
"""RFC 9110, 7.6.1. Transfer-Encoding stays: mitmproxy frames the body by it."""


def wire_request(request: http.Request, credentials: Sequence[Credential]) -> tuple[http.Request, Sequence[Credential]]:
    """The request to send, and the credentials held back because they do not belong to its address.

    Returns `request` itself when there is nothing to change.
    """
    fitting = [c for c in credentials if c.fits(request.scheme, request.host, request.port, request.path)]
    dropped = _hop_by_hop_of(request)
    for credential in fitting:
        dropped |= {name.lower().encode() for name in (*credential.drops, *credential.headers)}
    fields = tuple(pair for pair in request.headers.fields if pair[0].lower() not in dropped)
    if not fitting and len(fields) == len(request.headers.fields):
        return request, credentials
    headers = http.Headers(fields)
    for credential in fitting:
        for name, secret in credential.headers.items():
            headers[name] = secret.get_secret_value()
    # Not dataclasses.replace: mitmproxy's classes would check the type of every field anew, for ten times the price.
    wire = copy.copy(request)
    wire.data = copy.copy(request.data)
    wire.data.headers, wire.data.content = headers, None
    return wire, [c for c in credentials if c not in fitting]


def _hop_by_hop_of(request: http.Request) -> frozenset[bytes]:
    if "upgrade" in request.headers:
        return _PROXY_ONLY  # Connection and Upgrade are the framing of a WebSocket handshake.
    connection = request.headers.get("connection")
    if connection is None:
        return HOP_BY_HOP
    named = {name.strip() for name in connection.lower().encode().split(b",")}
    return HOP_BY_HOP | (named - _FRAMING)
