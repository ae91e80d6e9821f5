"""Redirects by a host that the client does not know it is asking: it would follow them with its vendor's key."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from codemie_core.urls import same_origin


def led_back(location: str, url: str, prefix: str) -> str | None:
    """What to put in a Location's place: a path below the vendor's host, which rules send the same way again.

    `url` is what was asked, with `prefix` put before its path. None where it leads to another host.
    """
    try:
        wanted = urljoin(url, location.strip())
    except ValueError:
        return None
    if not same_origin(wanted, url):
        return None
    there = urlsplit(wanted)
    path = there.path.removeprefix(prefix) if f"{there.path}/".startswith(f"{prefix}/") else there.path
    # Two slashes would begin the name of a host.
    back = "/" + path.lstrip("/\\\t")
    return f"{back}?{there.query}" if there.query else back
