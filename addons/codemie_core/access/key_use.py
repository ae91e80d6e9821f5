"""What the holder of a client key sets in an agent's environment."""

from __future__ import annotations

import socket
from urllib.parse import quote

from codemie_core.places import Places
from codemie_core.running import running_proxies

DEFAULT_ADDRESS = "127.0.0.1:8080"


def environment(name: str, key: str, address: str) -> dict[str, str]:
    """The first two are for a reverse proxy, the last one is for one in regular mode."""
    proxy = f"http://{quote(name, safe='')}:{key}@{address}"
    return {"ANTHROPIC_AUTH_TOKEN": key, "OPENAI_API_KEY": key, "HTTPS_PROXY": proxy}


def address_for_clients(places: Places) -> str:
    """Where clients find the proxy: that of a running one, if there is one."""
    address = next((address for proxy in running_proxies(places) for address in proxy.addresses), DEFAULT_ADDRESS)
    host, _, port = address.rpartition(":")
    if host in ("", "0.0.0.0", "::"):
        return f"{socket.gethostname()}:{port}"
    return f"[{host}]:{port}" if ":" in host else address
