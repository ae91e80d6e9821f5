"""Does an address lead back to this very proxy? It would ask itself again and again, until no descriptor is left.

mitmproxy looks at the name alone. LOCALHOST, this machine's own name, and any name that a page's owner has given the
address 127.0.0.1 lead here as well.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LEADS_BACK = "leads back to this very proxy"
HELP = (
    "Name the model API instead: as the target of `codemie-proxy start`, in its --retarget rule, or as the base URL of "
    "an agent behind HTTPS_PROXY; and start the proxy without an HTTPS_PROXY that names itself"
)
LOOP = f"that address {LEADS_BACK}. {HELP}"


async def leads_back(host: str, port: int, listening: Sequence[tuple[str, int]]) -> bool:
    """Would a connection to `host` and `port` arrive at one of the addresses `listening`? Names are looked up."""
    own = [_plain(at or "::") for at, own_port in listening if own_port == port]
    if not own:
        return False
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False  # Nor can it be dialed.
    return any(_arrives(_plain(str(address[0])), own) for *_, address in found)


def _arrives(there: Address, own: Sequence[Address]) -> bool:
    if there.is_unspecified:  # Whoever dials it is led to loopback.
        return any(at.is_unspecified or at.is_loopback for at in own)
    return there in own or (any(at.is_unspecified for at in own) and _of_this_machine(there))


def _plain(address: str) -> Address:
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _of_this_machine(address: Address) -> bool:
    """Only addresses of one's own can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
