"""A WebSocket server that does what its client tells it, of the `websockets` library, in front of nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

type Action = Callable[[ServerConnection, Any], Coroutine[Any, Any, None]]


@dataclass
class Echo:
    """What it has seen."""

    port: int = 0
    extensions: list[list[object]] = field(default_factory=list)
    """Agreed on, per connection."""
    closes: list[tuple[int | None, str | None]] = field(default_factory=list)
    """How each connection has ended: the code it got, 1006 for none."""
    received: int = 0
    """Messages."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def closed(self, count: int = 1) -> tuple[int | None, str | None]:
        """How the connection number `count` ended; waits for it."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: len(self.closes) >= count)
        return self.closes[count - 1]


async def _close(socket: ServerConnection, said: Any) -> None:
    await socket.close(*said)


async def _abort(socket: ServerConnection, _: Any) -> None:
    socket.transport.abort()


async def _send(socket: ServerConnection, said: Any) -> None:
    await socket.send("x" * said)


async def _twice(socket: ServerConnection, said: Any) -> None:
    await socket.send("first")
    await socket.send(said)


async def _say(socket: ServerConnection, said: Any) -> None:
    for text in said:
        await socket.send(text)


async def _raw(socket: ServerConnection, said: Any) -> None:
    socket.transport.write(bytes.fromhex(said))


async def _frames(socket: ServerConnection, said: Any) -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in said:
            yield piece
            await socket.ping()

    await socket.send(pieces())


ACTIONS: Mapping[str, Action] = {
    "close": _close,
    "abort": _abort,
    "send": _send,
    "raw": _raw,
    "frames": _frames,
    "twice": _twice,
    "say": _say,
}


@asynccontextmanager
async def echo(port: int = 0, **options: Any) -> AsyncIterator[Echo]:
    """`{"close": [1001, "words"]}` and the like are done, see ACTIONS; everything else is sent back as it came."""
    seen = Echo()

    async def handle(socket: ServerConnection) -> None:
        seen.extensions.append(list(socket.protocol.extensions))
        try:
            async for message in socket:
                seen.received += 1
                told = json.loads(message) if isinstance(message, str) and message[:2] == '{"' else {}
                name = next((name for name in told if name in ACTIONS), "")
                if name:
                    await ACTIONS[name](socket, told[name])
                else:
                    await socket.send(message)
        except ConnectionClosed:
            pass  # It is noted below.
        await socket.wait_closed()
        async with seen.changed:
            seen.closes.append((socket.close_code, socket.close_reason))
            seen.changed.notify_all()

    async with serve(handle, "127.0.0.1", port, max_size=None, open_timeout=60, **options) as server:
        seen.port = server.sockets[0].getsockname()[1]
        yield seen
