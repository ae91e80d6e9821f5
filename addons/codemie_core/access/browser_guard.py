"""Keeps web pages off a proxy that asks nobody for a key: it serves programs, and it may hold somebody's session.

Two ways lead from a page to a server on this machine. A page can give its own name the address 127.0.0.1 (DNS
rebinding): then the request is same-origin for the browser, but the Host it names is not one of ours. Or it sends a
cross-site request straight to 127.0.0.1: then the browser says so in Origin or Sec-Fetch-Site. Programs send neither
header (undici sends `Sec-Fetch-Mode` alone) and name the host they were told.

Editors and other desktop shells have origins with schemes of their own (vscode-file://vscode-app, app://x) that no web
page can have: they pass. Browser extensions also have such schemes and do not: they run beside the pages.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from codemie_core.errors import Problem
from codemie_core.scope import host_matches, is_local, normal_host, split_port

_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<address>[^/?#@\s,]*)/?", re.IGNORECASE)
_SHOWN = 100
"""Characters of a client's own words in a message."""


@dataclass(frozen=True, slots=True)
class BrowserGuard:
    """The names this proxy goes by, as host patterns, and the further origins that may use it."""

    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def judge(self, asked_host: str, entrance: str, origin: str | None, fetch_site: str | None) -> Problem | None:
        """What is wrong with this request; None for one that may pass.

        `asked_host` is the Host that the client named ("" when unknown), `entrance` the address its connection came
        in on, `origin` and `fetch_site` the headers Origin and Sec-Fetch-Site.
        """
        if asked_host and not is_ours(asked_host, entrance, self.names):
            return _misdirected(asked_host)
        if origin is not None:
            return None if self._may_ask(origin, entrance) else _cross_site(f"A web page of {origin[:_SHOWN]!r}")
        if fetch_site is not None and fetch_site.strip().lower() in ("cross-site", "same-site"):
            return _cross_site("A web page of another site")
        return None

    def _may_ask(self, origin: str, entrance: str) -> bool:
        if origin.lower().removesuffix("/") in self.origins:
            return True
        found = _ORIGIN.fullmatch(origin)
        if found is None:
            return False  # "null" too: any page gets that by putting itself into a sandboxed frame.
        scheme = found["scheme"].lower()
        if scheme in ("http", "https"):
            return bool(found["address"]) and is_ours(found["address"], entrance, self.names)
        return not scheme.endswith("extension")


@lru_cache(maxsize=256)  # It is asked the same thing by every request.
def is_ours(address: str, entrance: str, names: tuple[str, ...]) -> bool:
    """Can only this machine, or one that its operator named, be meant by this "host" or "host:port"?"""
    host, port = split_port(address)
    name = normal_host(host)
    if port and not (port.isascii() and port.isdecimal()):
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if _is_address(name):
        return is_local(name) or name == normal_host(entrance) or host_matches(address, names)
    return host_matches(address, names)


def normal_origin(origin: str) -> str:
    """`origin` as browsers write it. ValueError says what to write."""
    if not _ORIGIN.fullmatch(origin) or origin.endswith("://"):
        raise ValueError(
            f"{origin!r} is not an origin: write it like https://tool.example.com or chrome-extension://id"
        )
    return origin.lower().removesuffix("/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _misdirected(asked_host: str) -> Problem:
    return Problem(
        421,
        "misdirected_request",
        f"This proxy does not go by the name {asked_host[:_SHOWN]!r}. Ask it as 127.0.0.1 or localhost, or add the "
        "name to codemie_proxy_access_names. Trying again does not help.",
    )


def _cross_site(who: str) -> Problem:
    # Not 403: it would make Claude Code open its login.
    return Problem(
        400,
        "cross_site_request",
        f"{who} may not use this proxy, which serves programs on this machine. If it is a tool of yours, add its "
        "origin to codemie_proxy_access_origins. Trying again does not help.",
    )
