"""URLs that people write into profiles and tools into credential files: is one plain, and whose is it?"""

from __future__ import annotations

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_plain_url(text: str) -> bool:
    """Is this http(s)://host[:port][/path] and nothing more: no user, password, query, fragment or space?"""
    try:
        parts = urlsplit(text)
        # Reading the port is what checks it.
        return bool(
            parts.scheme in _DEFAULT_PORTS
            and parts.hostname
            and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False


def origin_of(url: str) -> str:
    """`scheme://host[:port]` as JavaScript's URL spells it: lower case, without the scheme's own port.

    ValueError when it has no such thing.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("this is no URL like https://host")
    host = _ascii(parts.hostname)
    port = parts.port
    address = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{address}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def same_origin(one: str, other: str) -> bool:
    """Have both the same scheme, host and port? What is no URL has none."""
    try:
        return origin_of(one) == origin_of(other)
    except ValueError:
        return False


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("this host name cannot be written in ASCII") from None
