"""The upstream a proxy is started for, as one URL: `https://codemie.example.com/code-assistant-api`.

mitmproxy's reverse mode takes scheme, host and port; the path is ours to put before every request path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from codemie_core.errors import SettingsError

_PORTS = {"http": 80, "https": 443}
_VERSION = re.compile(r"/v1(?:alpha|beta)?\d*\Z")


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream. `path` begins with a slash and ends without one, or is empty."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def origin(self) -> str:
        """Without the path, as `--mode reverse:` wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_target(url: str, source: str = "TARGET") -> Target:
    """A target from its URL; without a scheme it is https. SettingsError says what is wrong with it."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port
    except ValueError as problem:
        raise SettingsError(f"{source}: {problem}; write https://host[:port][/path]") from None
    if parts.scheme not in _PORTS:
        raise SettingsError(f"{source}: the scheme {parts.scheme!r} is not http or https")
    if not parts.hostname:
        raise SettingsError(f"{source}: there is no host in it; write https://host[:port][/path]")
    if parts.username or parts.password:
        raise SettingsError(f"{source}: credentials do not belong in a URL; leave out everything before the @")
    if parts.query or parts.fragment:
        raise SettingsError(f"{source}: leave out everything from the ? or # on")
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def without_version(path: str) -> str:
    """Without the `/v1` that SDKs want at the end of a base URL: here the path of each call brings it."""
    return _VERSION.sub("", path)


def with_prefix(path: str, prefix: str) -> str:
    """`path` below `prefix`; a path that is there already stays."""
    if not prefix or path == prefix or path.startswith((f"{prefix}/", f"{prefix}?")):
        return path
    return prefix + path
