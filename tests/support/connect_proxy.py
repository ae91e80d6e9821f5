"""A small outbound proxy: speaks CONNECT, knows names nobody else knows, and writes down who asked for what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass
class ConnectProxy:
    """`async with ConnectProxy({"upstream.test": upstream.port}) as proxy`: every name leads to that loopback port.

    With `authorization`, a CONNECT without that value of Proxy-Authorization is answered with 407.
    """

    ports: Mapping[str, int]
    authorization: str | None = None
    port: int = 0
    """Where it listens; 0 for any free port."""
    targets: list[str] = field(default_factory=list)
    """host:port of each CONNECT, in order."""
    authorizations: list[str | None] = field(default_factory=list)
    """The Proxy-Authorization of each."""
    heads: list[str] = field(default_factory=list)
    """The rest of each head."""

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, userinfo: str = "") -> str:
        """For HTTPS_PROXY."""
        return f"http://{userinfo + '@' if userinfo else ''}127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side hung up, which ends the tunnel
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, target, _ = first.split(" ")
        self.targets.append(target if method == "CONNECT" else first)
        self.authorizations.append(headers.pop("proxy-authorization", None))
        self.heads.append(f"{first} {headers}")
        port = self.ports.get(target.rpartition(":")[0])
        if self.authorization and self.authorizations[-1] != self.authorization:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        elif port is None:
            writer.write(b"HTTP/1.1 502 Unknown Host\r\ncontent-length: 0\r\n\r\n")
        else:
            there = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _tunnel((reader, writer), there)
        await writer.drain()


async def _tunnel(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter], there: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(here[0], there[1]))
            group.create_task(_pump(there[0], here[1]))
    except* ConnectionError:
        pass
    finally:
        there[1].transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
