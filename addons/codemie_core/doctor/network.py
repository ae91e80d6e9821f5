"""The variables of this shell that say which way requests take: through an outbound proxy, through us, or past us."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from codemie_core.credential import is_loopback
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.proxies import ports
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.egress import Egress, OutboundProxy, bypasses, egress_from_env
from codemie_core.errors import SettingsError
from codemie_core.scope import MODEL_API_HOSTS

BASE_URLS = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL")
_LOCAL = "127.0.0.1,localhost"


def outbound(around: Surroundings) -> Iterator[Finding]:
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""
    try:
        egress = egress_from_env(around.environ)
    except SettingsError as trouble:
        yield problem("outbound_proxy", str(trouble), "write http://host:port, or unset it")
        return
    if not egress.proxies:
        yield ok("outbound_proxy", "no outbound proxy: requests go out directly")
    ours = {number for one in around.running for number in ports(one)}
    for scheme, proxy in egress.proxies.items():
        yield _one(scheme, proxy, ours)
    yield from _past_us(egress, ours)


def base_urls(around: Surroundings) -> Iterator[Finding]:
    """Agents that this shell sends to a proxy on this machine: is it there, and is that the way they take?"""
    found = list(_base_urls(around.environ))
    if not found:
        yield ok("base_urls", "no base URL is set in this shell")
    for name, host, port in found:
        if not _listens(host, port):
            fix = f"unset {name}; or start the proxy there: codemie-proxy start --port {port}"
            yield problem("base_urls", f"{name} leads to port {port} of this machine, where nobody listens", fix)
            continue
        yield ok("base_urls", f"{name} leads to port {port} of this machine")
    yield from _around_the_company(around, found)


def _one(scheme: str, proxy: OutboundProxy, ours: set[int]) -> Finding:
    where = f"{scheme} requests go through {proxy.host}:{proxy.port}"
    if not is_loopback(proxy.host):
        return ok("outbound_proxy", where)
    if proxy.port in ours:
        return note("outbound_proxy", f"{where}, a proxy of ours: agents of this shell use it, it does not use itself")
    if not _listens(proxy.host, proxy.port):
        fix = f"unset {scheme.upper()}_PROXY {scheme}_proxy ALL_PROXY all_proxy; or start the proxy that is meant"
        return problem("outbound_proxy", f"{where}, where nobody listens", fix)
    return ok("outbound_proxy", where)


def _past_us(egress: Egress, ours: set[int]) -> Iterator[Finding]:
    proxy = egress.proxies.get("https")
    if proxy is None or not (is_loopback(proxy.host) and proxy.port in ours):
        return
    missed = [host for host in MODEL_API_HOSTS if "*" not in host and egress.via("https", host, 443) is None]
    if missed:
        shown = ", ".join(missed[:3]) + (" and others" if len(missed) > 3 else "")
        fix = "take them out of NO_PROXY and no_proxy"
        yield warning("no_proxy", f"NO_PROXY leads agents past the proxy for {shown}", fix)


def _around_the_company(around: Surroundings, found: list[tuple[str, str, int]]) -> Iterator[Finding]:
    """Unlike ours, many programs ask their outbound proxy for what is on this very machine."""
    try:
        egress = egress_from_env(around.environ)
    except SettingsError:
        return
    proxy = egress.proxies.get("http")
    missed = [(host, port) for _, host, port in found if not any(bypasses(rule, host, port) for rule in egress.bypass)]
    if missed and proxy and not is_loopback(proxy.host):
        host, port = missed[0]
        words = f"agents may look for {host}:{port} through the outbound proxy {proxy.host}:{proxy.port}"
        value = ",".join([*egress.bypass, _LOCAL])
        yield warning("no_proxy", words, shlex.join(["export", f"NO_PROXY={value}", f"no_proxy={value}"]))


def _base_urls(environ: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    for name in BASE_URLS:
        try:
            parts = urlsplit(environ.get(name, ""))
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            continue
        if host and is_loopback(host):
            yield name, host, port


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True
