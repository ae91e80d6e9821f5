"""A proxy in regular mode whose vendors are on this machine, and agents' programs that come to it by HTTPS_PROXY."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codemie_core.interception.trust import Trust, make_trust, trust_variables
from codemie_core.places import Places
from support import certificates
from support.certificates import Authority
from support.connect_proxy import ConnectProxy
from support.proxy import Mitmproxy
from support.shared import shared_proxy


@dataclass(frozen=True)
class Intercepting:
    """The proxy goes out through `outer`, where a test says which names lead to which ports."""

    proxy: Mitmproxy
    authority: Authority
    trust: Trust
    outer: int

    def world(self, **ports: int) -> ConnectProxy:
        """To be entered: the names there are, with _ for . and __ for -."""
        names = {name.replace("__", "-").replace("_", "."): port for name, port in ports.items()}
        return ConnectProxy(names, port=self.outer)

    def trusting_us(self, *protocols: str) -> ssl.SSLContext:
        """Trusts our certificate alone."""
        return certificates.client(self.trust.certificate, *protocols)

    def trusting_them(self, *protocols: str) -> ssl.SSLContext:
        """Trusts the vendors' authority alone, as if we were not there."""
        return certificates.client(self.authority.pem, *protocols)

    def environment(self) -> Mapping[str, str]:
        """What an agent's SDK is started with."""
        return {"HTTPS_PROXY": self.proxy.url, **trust_variables(self.trust, {})}


@contextmanager
def intercepting(
    folder: Path, fill: Callable[[Path], Mapping[str, object]], *args: str, **options: object
) -> Iterator[Intercepting]:
    """Running, with the folder of certificates of its own; `fill` gets the CodeMie home and gives further options."""
    home, authority = folder / ".codemie", Authority(folder)
    trust = make_trust(Places(home), {"SSL_CERT_FILE": os.devnull}, ())
    (folder / "mitmproxy").symlink_to(Places(home).ca)
    with socket.socket() as holder:
        # A port that nobody gets by chance; the outer proxy of each test reuses it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        outer = int(holder.getsockname()[1])
        every = {
            "codemie_upstream_attempts_ca_file": authority.pem,
            "codemie_upstream_attempts_backoff": "1ms",
            **fill(home),
            **options,
        }
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{outer}"}
        with shared_proxy(folder, "--mode", "regular", *args, options=every, env=env) as proxy:
            yield Intercepting(proxy, authority, trust, outer)
