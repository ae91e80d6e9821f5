"""Which hosts the bundle acts on. Everything else streams through untouched.

A pattern is an exact host ("api.openai.com", "[::1]") or "*." and a domain ("*.example.com": every name below
it, not example.com itself), either with an optional ":port".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

MODEL_API_HOSTS: tuple[str, ...] = (
    "api.anthropic.com",
    "api.openai.com",
    "chatgpt.com",  # Codex with a ChatGPT login
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "*.aiplatform.googleapis.com",
    "cloudcode-pa.googleapis.com",  # Gemini CLI with a Google login
    "*.openai.azure.com",
    "*.services.ai.azure.com",
    "openrouter.ai",
    "opencode.ai",
    "*.githubcopilot.com",
    "api.moonshot.ai",
    "api.moonshot.cn",
    "api.kimi.com",
    "api.deepseek.com",
    "api.mistral.ai",
    "api.groq.com",
    "api.x.ai",
    "api.z.ai",
    "dashscope-intl.aliyuncs.com",
)
CODEMIE_HOSTS: tuple[str, ...] = ("codemie.lab.epam.com", "*.codemie.lab.epam.com")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def normal_host(host: str) -> str:
    """`host` in the one form we compare: lower case, no brackets, no trailing dot, IPv6 compressed."""
    if not host.isascii():
        # lower() would turn look-alikes (the Kelvin sign) into ASCII letters.
        return host
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host.removesuffix(".")
    if ":" in bare:
        try:
            return ipaddress.IPv6Address(bare).compressed
        except ValueError:
            pass
    return bare.lower()


def address_of(host: str, port: int) -> str:
    """Host and port in one, as patterns and `Host` headers write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_port(address: str) -> tuple[str, str]:
    """("host", "port") of "host:port"; the port is "" when there is none. A bare IPv6 address has none."""
    if address.startswith("["):
        host, bracket, rest = address.partition("]")
        return (host + bracket, rest[1:]) if rest.startswith(":") else (address, "")
    if address.count(":") == 1:
        host, _, port = address.partition(":")
        return host, port
    return address, ""


def host_matches(host: str, patterns: Sequence[str]) -> bool:
    """Whether `host` ("name" or "name:port") fits a pattern. A pattern with a port needs that port."""
    name, port = split_port(host)
    name = normal_host(name)
    return any(_fits(name, port, pattern) for pattern in patterns)


def _fits(name: str, port: str, pattern: str) -> bool:
    wanted, wanted_port = split_port(pattern)
    if wanted_port and wanted_port != port:
        return False
    if wanted.startswith("*."):
        return name.endswith(normal_host(wanted[1:]))
    return name == normal_host(wanted)


def validate_hosts(patterns: Sequence[str]) -> None:
    """ValueError names the first pattern that is no host and says what to write."""
    for pattern in patterns:
        if not _is_pattern(pattern):
            raise ValueError(
                f"{pattern!r} is not a host pattern: write a host name without scheme or path, "
                'such as "api.example.com", "*.example.com" or "api.example.com:8443"'
            )


def _is_pattern(pattern: str) -> bool:
    host, port = split_port(pattern)
    if (
        host.startswith("[") != host.endswith("]")
        or pattern.endswith(":")
        or (port and not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536))
    ):
        return False
    name = normal_host(host.removeprefix("*."))
    if ":" in name:
        return not host.startswith("*.") and _is_ipv6(name)
    return bool(_NAME.fullmatch(name)) and len(name) <= 253


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Is this peer on this machine? A Unix socket has no address and is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == ""
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
