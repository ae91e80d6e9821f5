"""A secret together with the only place it may go.

Whoever attaches a credential to a request on its way out asks `fits` about the final address first, after
routing and redirects: a secret in the wrong hands is worse than a request that fails.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from pydantic import SecretStr

from codemie_core.scope import normal_host

# A path still encoded after this many rounds was built to confuse someone.
_DECODING_ROUNDS = 4
# Clients that speak HTTP/2 can send these, and the upstream's request line would end where we do not think it does.
_NO_PART_OF_A_PATH = re.compile(r"[^!-~]")
_READ_DIFFERENTLY = re.compile(r"[%;\\]|//|/\.")

CLIENT_CREDENTIALS = frozenset(
    {
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "cookie",
        # those of gateways: an agent set up for one may send it beside the provider's own
        "x-litellm-api-key",
        "x-portkey-api-key",
        "helicone-auth",
        "cf-aig-authorization",
        "ocp-apim-subscription-key",
    }
)
"""How a client gets in, by whatever door: none of it goes along with a credential of ours."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Headers for one origin.

    `host` is an exact name or a tuple of them, `path_prefix` covers itself and everything below it. `headers`
    maps lower-case names to secrets, `drops` are the inbound header names that this credential replaces.
    ValueError when the scope itself is unsafe, such as http to a host that is not loopback.
    """

    scheme: str
    host: str | tuple[str, ...]
    port: int
    path_prefix: str
    headers: Mapping[str, SecretStr] = field(hash=False)
    drops: frozenset[str] = frozenset()
    owner: str = ""
    """The addon that put it on the exchange."""
    required: bool = False
    """Where it may not go, the request must not go without it either."""
    replaces: frozenset[bytes] = field(init=False, repr=False, compare=False)
    """All header names that go when it comes, lower-case."""

    def __post_init__(self) -> None:
        hosts = (self.host,) if isinstance(self.host, str) else self.host
        if not hosts or not all(hosts):
            raise ValueError("a credential needs at least one host")
        for host in hosts:
            if not _carries_secrets(self.scheme, host):
                raise ValueError(f"a credential for {host!r} needs https, not {self.scheme!r}")
        if not self.path_prefix.startswith("/"):
            raise ValueError(f"the path prefix {self.path_prefix!r} must start with a slash")
        if not all(isinstance(value, SecretStr) for value in self.headers.values()):
            raise TypeError("credential headers hold SecretStr values only")
        own = MappingProxyType({name.lower(): value for name, value in self.headers.items()})
        object.__setattr__(self, "host", tuple(map(normal_host, hosts)))
        object.__setattr__(self, "headers", own)
        object.__setattr__(self, "drops", frozenset(map(str.lower, self.drops)))
        object.__setattr__(self, "replaces", frozenset(name.encode() for name in (*self.drops, *own)))

    def fits(self, scheme: str, host: str, port: int, path: str) -> bool:
        """Whether the credential may go with a request to this address. `path` may carry a query."""
        return (
            scheme.lower() == self.scheme
            and port == self.port
            and normal_host(host) in self.host
            and _below(path, self.path_prefix)
        )

    def __repr__(self) -> str:
        origin = f"{self.scheme}://{','.join(self.host)}:{self.port}"
        return f"<Credential({origin}{self.path_prefix}, headers {sorted(self.headers)})>"


def _carries_secrets(scheme: str, host: str) -> bool:
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    name = normal_host(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _below(path: str, prefix: str) -> bool:
    """Whether `path` stays below `prefix` for a strict server and for a lenient one."""
    bare = re.split(r"[?#]", path, maxsplit=1)[0] or "/"
    if _NO_PART_OF_A_PATH.search(bare):
        return False
    if not (_READ_DIFFERENTLY.search(bare) or _READ_DIFFERENTLY.search(prefix)):
        # All servers read it in the same way: the usual case, and in a fraction of the time.
        stem = prefix.removesuffix("/")
        return bare.startswith("/") and (bare == stem or bare.startswith(f"{stem}/"))
    return bare.startswith("/") and all(
        _covers(_segments(read(prefix)), _segments(read(bare))) for read in (_dots_decoded, _fully_decoded)
    )


def _covers(prefix: list[str] | None, segments: list[str] | None) -> bool:
    if prefix is None or segments is None:
        return False
    wanted = prefix[:-1] if prefix[-1:] == [""] else prefix
    return segments[: len(wanted)] == wanted


def _dots_decoded(path: str) -> str:
    return re.sub("%2e", ".", path, flags=re.IGNORECASE)


def _fully_decoded(path: str) -> str | None:
    """`path` as the most forgiving server may read it: decoded, no parameters, slashes of any kind merged."""
    for _ in range(_DECODING_ROUNDS):
        decoded = unquote(path)
        if decoded == path:
            return re.sub(r"[/\\]+", "/", re.sub(r";[^/\\]*", "", path))
        path = decoded
    return None


def _segments(path: str | None) -> list[str] | None:
    """Segments with "." and ".." resolved as RFC 3986 5.2.4 says."""
    if path is None:
        return None
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return kept
