"""The way out: the outbound proxy that lies between us and an upstream, as HTTPS_PROXY and NO_PROXY say.

Credentials in a proxy's URL stay inside this object; they go into the CONNECT request to that proxy and nowhere else.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.scope import normal_host

type ProxyAddress = tuple[Literal["http", "https"], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class OutboundProxy:
    """One outbound proxy."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authorization: SecretStr | None = None
    """The value for Proxy-Authorization."""

    @property
    def address(self) -> ProxyAddress:
        """As mitmproxy's `via` wants it."""
        return self.scheme, (self.host, self.port)


@dataclass(frozen=True, slots=True)
class Egress:
    """Which proxy to use for which upstream."""

    proxies: Mapping[str, OutboundProxy] = field(default_factory=dict)
    """By the upstream's scheme."""
    bypass: tuple[str, ...] = ()
    """NO_PROXY, split: names, domains with a leading dot or *., addresses, networks, each with an optional port; `*`
    means all."""

    def via(self, scheme: str, host: str, port: int) -> OutboundProxy | None:
        """The proxy for this upstream, or None for a direct connection. Loopback is always direct."""
        proxy = self.proxies.get(scheme)
        if proxy is None or _is_loopback(host) or any(bypasses(rule, host, port) for rule in self.bypass):
            return None
        return proxy

    def without(self, own: Iterable[tuple[str, int]]) -> Egress:
        """The same without proxies that are this very proxy: a request would go round for ever."""
        ours = {port for _, port in own}
        kept = {s: p for s, p in self.proxies.items() if not (_is_loopback(p.host) and p.port in ours)}
        return Egress(kept, self.bypass)


def egress_from_env(environ: Mapping[str, str]) -> Egress:
    """Read HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, either case. SettingsError names an unusable one."""
    found = {}
    for scheme in ("https", "http"):
        for name in (f"{scheme}_proxy", "all_proxy"):
            variable = next((v for v in (name, name.upper()) if environ.get(v)), None)
            # A CGI server passes the header "Proxy:" on as HTTP_PROXY; where REQUEST_METHOD is set, it is not ours.
            if variable is None or (variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
                continue
            found[scheme] = parse_proxy(environ[variable], variable)
            break
    rules = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return Egress(found, tuple(rule.strip().lower() for rule in rules.replace(" ", ",").split(",") if rule.strip()))


def parse_proxy(url: str, source: str) -> OutboundProxy:
    """An outbound proxy from its URL. The error never shows the URL: it may hold a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{source} is not the URL of an HTTP proxy: write http://host:port")
    authorization = None
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = SecretStr("Basic " + base64.b64encode(pair.encode()).decode())
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return OutboundProxy(scheme, parts.hostname, port or (443 if scheme == "https" else 80), authorization)


def bypasses(rule: str, host: str, port: int) -> bool:
    """Does this rule of a NO_PROXY keep requests to this upstream from the proxy?"""
    if rule == "*":
        return True
    name, colon, wanted = rule.rpartition(":")
    if colon and wanted.isdigit() and "]" not in wanted and name.count(":") == 0:
        if int(wanted) != port:
            return False
        rule = name
    bare = normal_host(host)
    try:
        return ipaddress.ip_address(bare) in ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        pass
    domain = rule.removeprefix("*").removeprefix(".")
    return bare == domain or bare.endswith(f".{domain}")


def _is_loopback(host: str) -> bool:
    name = normal_host(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
