"""A real proxy with client keys before a scripted upstream, and what either of them got to see."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from codemie_core.access.client_keys import KeyStore
from codemie_core.demo.received import Received
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.places import Places
from support.proxy import BUNDLE, Mitmproxy
from support.websocket import WebSocketClient


@dataclass
class Door:
    """The proxy, the upstream behind it, and the keys that open it."""

    proxy: Mitmproxy
    upstream: UpstreamThread
    store: KeyStore
    keys: dict[str, str] = field(default_factory=dict, repr=False)

    def received(self) -> list[Received]:
        """What has arrived at the upstream so far."""
        return list(self.upstream.upstream.requests)

    def add(self, name: str) -> str:
        """A key for `name`."""
        key = self.keys[name] = self.store.add(name)[1].get_secret_value()
        return key

    def written(self) -> list[Path]:
        """All files of the CodeMie home: logs, the register, the keys' own."""
        return [path for path in self.store.path.parents[1].rglob("*") if path.is_file()]

    def secrets(self) -> list[str]:
        """What nobody may find anywhere: the random part of every key."""
        return [key[-43:] for key in self.keys.values()]


@contextmanager
def door(*args: str, keys: Sequence[str] = ("ann", "bob"), target: str = "", **kwargs: Any) -> Iterator[Door]:
    """`args` are those of mitmdump; without a mode the proxy stands in reverse mode before the upstream.

    Another `target` takes the place of "reverse:" and the upstream's address.
    """
    store = KeyStore(Places.from_env(os.environ))
    made = {name: store.add(name)[1].get_secret_value() for name in keys}
    kwargs.setdefault("scripts", [BUNDLE])
    with UpstreamThread() as upstream:
        mode = target or f"reverse:{upstream.url}"
        with Mitmproxy("--mode", mode, *args, **kwargs) as proxy:
            yield Door(proxy, upstream, store, made)


def until(true: Callable[[], bool], timeout: float = 60.0) -> None:
    """Wait for something that the proxy does by itself, such as reading its keys again."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def ask(url: str, path: str = "/v1/messages", headers: Mapping[str, str] | None = None, **named: str) -> httpx.Response:
    """Ask for a turn of a model; `x_api_key` is the header x-api-key."""
    own = {name.replace("_", "-"): value for name, value in named.items()}
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(f"{url}{path}", json={"model": "m"}, headers=own | dict(headers or {}))


def holds(files: Sequence[Path | str], secrets: Sequence[str]) -> list[str]:
    """The secrets that are in these texts and files."""
    texts = [place.read_bytes() if isinstance(place, Path) else place.encode() for place in files]
    return [secret for secret in secrets if any(secret.encode() in text for text in texts)]


def other_address() -> str | None:
    """An address of this machine that is not loopback: whoever uses it looks like a client from elsewhere."""
    found = (
        item.address for items in psutil.net_if_addrs().values() for item in items if item.family.name == "AF_INET"
    )
    return next((address for address in found if not address.startswith("127.")), None)


class KeyedWebSocket(WebSocketClient):
    """A WebSocket client that sends headers of its own with the handshake."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        super().__init__(port, path)
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __aenter__(self) -> Self:
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        await self.before()
        hello = Request(host="localhost", target=self._path, extra_headers=self._headers)
        self._writer.write(self._protocol.send(hello))
        event = await self._next()
        assert isinstance(event, AcceptConnection), event
        return self

    async def before(self) -> None:
        """What comes before the handshake: nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()
