"""A client that shows the bytes of an answer, for servers that misbehave at byte level."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawClient:
    """One TCP connection; everything read is bounded by `timeout` seconds."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    timeout: float = 60.0

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, path: str = "/v1/messages", headers: Mapping[str, str] | None = None, **body: object) -> None:
        """Send a POST with a JSON body."""
        content = json.dumps({"model": "m", **body}).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len(content)}\r\n\r\n"
        await self.send(head.encode() + content)

    async def until(self, end: bytes) -> bytes:
        """Read up to and with `end`."""
        return await asyncio.wait_for(self.reader.readuntil(end), self.timeout)

    async def rest(self) -> bytes:
        """Read to the end of the connection; a reset raises ConnectionResetError."""
        return await asyncio.wait_for(self.reader.read(), self.timeout)

    async def arrived(self) -> bytes:
        """Return what comes next, at least one byte unless the connection has ended."""
        return await asyncio.wait_for(self.reader.read(2**20), self.timeout)

    def leave(self) -> None:
        """Hang up at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def raw_client(port: int, host: str = "127.0.0.1") -> AsyncIterator[RawClient]:
    """Connect; the connection ends with the context."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**24)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
