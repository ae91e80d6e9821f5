"""The request head as it goes to the upstream: credentials on, hop-by-hop headers off, on a copy.

`flow.request` is never touched: mitmproxy saves it (`-w`), shows it in mitmweb, and reads its own framing from it
(deleting `Connection` there leaves clients hanging).
"""

from __future__ import annotations

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
    request: http.Request, credentials: Sequence[Credential], server: Server, withheld: frozenset[bytes] = frozenset()
) -> tuple[http.Request, Sequence[Credential]]:
    """The request to send to `server`, and the credentials held back because they do not belong there.

    `withheld` are names of headers that never go out. Returns `request` itself when there is nothing to change.
    """
    fitting = [c for c in credentials if c.fits(request.scheme, request.host, request.port, request.path)]
    if fitting and not _is_private(request, server):
        fitting = []
    before = request.headers.fields
    names = [name.lower() for name, _ in before]
    dropped = _hop_by_hop_of(request, names) | withheld
    for credential in fitting:
        dropped |= credential.replaces
    fields = tuple(pair for name, pair in zip(names, before, strict=True) if name not in dropped)
    if not fitting and len(fields) == len(before):
        return request, credentials
    wire = _copied(request, fields)
    if fitting:
        # Many hosts share an address, and it is by these that its server tells them apart.
        wire.data.authority = b""
        host = _authority(request)
        if request.is_http2 or request.is_http3 or _values(fields, b"host") != [host.encode()]:
            wire.host_header = host
        secrets = {
            name.encode(): secret.get_secret_value().encode("utf-8", "surrogateescape")
            for credential in fitting
            for name, secret in credential.headers.items()
        }
        wire.headers.fields += tuple(secrets.items())
    return wire, [c for c in credentials if c not in fitting]


def wire_trailers(
    request: http.Request, credentials: Sequence[Credential], withheld: frozenset[bytes] = frozenset()
) -> http.Headers | None:
    """The trailers to send: not those whose names a credential replaces, or a client's own would come behind it."""
    if not request.trailers or not (credentials or withheld):
        return request.trailers
    replaced = withheld.union(*(credential.replaces for credential in credentials))
    return http.Headers([pair for pair in request.trailers.fields if pair[0].lower() not in replaced]) or None


def _copied(request: http.Request, fields: tuple[tuple[bytes, bytes], ...]) -> http.Request:
    """With these headers and no content.

    By hand: copy.copy takes four times as long, and mitmproxy's classes check the type of every field anew.
    """
    wire, data, headers = object.__new__(http.Request), object.__new__(http.RequestData), object.__new__(http.Headers)
    vars(headers).update(fields=fields)
    vars(data).update(vars(request.data), headers=headers, content=None)
    vars(wire).update(vars(request), data=data)
    return wire


def _values(fields: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if len(name) == len(wanted) and name.lower() == wanted]


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


def _hop_by_hop_of(request: http.Request, names: Sequence[bytes]) -> frozenset[bytes]:
    if b"upgrade" in names:
        return _PROXY_ONLY  # Connection and Upgrade are the framing of a WebSocket handshake.
    if b"connection" not in names:
        return HOP_BY_HOP
    connection = request.headers["connection"]
    named = {name.strip() for name in connection.lower().encode().split(b",")}
    return HOP_BY_HOP | (named - _FRAMING)
