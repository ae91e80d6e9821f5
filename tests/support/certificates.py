"""A certificate authority for upstreams, and TLS as clients of ours speak it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme


class Authority:
    """Signs upstream certificates; `pem` is the file that whoever trusts it reads."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.pem = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.pem))

    def server(self, *names: str) -> ssl.SSLContext:
        """The server's side, with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
        return context


class FixedAlpn(ssl.SSLContext):
    """Offers the protocols it was made for, whatever an HTTP library would like to offer instead.

    mitmproxy takes the first one it knows in the client's order, and httpx always names HTTP/1.1 first.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Already decided."""


def client(trusted: Path, *protocols: str) -> ssl.SSLContext:
    """The client's side: trusts that PEM file alone and offers these protocols in this order."""
    context = FixedAlpn(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    ssl.SSLContext.set_alpn_protocols(context, protocols or ("http/1.1",))
    return context


def ca_of(confdir: Path) -> Path:
    """The certificate that clients of a mitmproxy with this confdir trust."""
    return confdir / "mitmproxy-ca-cert.pem"
