"""What the credential matrices have in common: ways to ask, and paths that lie outside the one that gets a secret."""

import asyncio
from collections.abc import Sequence

from codemie_core.demo.upstream import Upstream
from support.clients import Answer, Headers, Http1
from support.proxy import Mitmproxy

HOSTS = ["127.0.0.1", "127.0.0.2", "localhost", "[::1]"]
UPGRADE = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "cGxhbnRlZC1ub25jZS0xMg=="),
]


async def ask(
    proxy: Mitmproxy, target: str, headers: Headers = (), method: str = "POST", body: bytes = b'{"model": "m"}'
) -> Answer:
    """`target` goes out as it is: an absolute URL in regular mode, a path in reverse mode."""
    async with asyncio.timeout(60), Http1(proxy.port) as client:
        return await client.ask(method, target, headers, b"" if method == "GET" else body)


async def upgrade(proxy: Mitmproxy, target: str, headers: Headers = ()) -> Answer:
    """Ask for a WebSocket; leaves at once."""
    async with asyncio.timeout(60), Http1(proxy.port) as client:
        await client.send("GET", target, [*UPGRADE, *headers])
        return await client.head()


def all_of(server: Upstream) -> str:
    """Everything that arrived there."""
    return "\n".join(f"{request.target} {request.headers} {request.body!r}" for request in server.requests)


def paths_outside(prefix: str, path: str = "/v1/messages") -> Sequence[str]:
    """Paths that are not below `prefix`, though some of them look so to somebody."""
    return [
        "/",
        "/admin",
        f"{prefix}-evil{path}",
        f"{prefix}.evil{path}",
        f"{prefix};x{path}",
        f"/{prefix}{path}",
        f"{prefix}/../admin",
        f"{prefix}/..%2fadmin",
        f"{prefix}/..%5cadmin",
        f"{prefix}/%2e%2e/admin",
        f"{prefix}/%252e%252e%252fadmin",
        f"{prefix}/..;/admin",
        f"{prefix}\\..\\admin",
        f"{prefix}/v1/../../admin",
        f"{prefix.upper()}{path}",
        f"{prefix[:-1]}%{ord(prefix[-1]):x}-evil/v1",
        f"/admin?x={prefix}{path}",
        f"/admin#{prefix}{path}",
    ]
