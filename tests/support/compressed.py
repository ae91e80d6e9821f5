"""Bodies in every content coding, and a proxy in HTTPS_PROXY mode whose upstream speaks both versions of HTTP."""

from __future__ import annotations

import asyncio
import gzip
import random
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped] # ships no type information
import zstandard
from sqlalchemy import select

from codemie_core.demo.upstream import Upstream
from codemie_core.store.tables import requests
from support import certificates
from support.certificates import Authority, ca_of
from support.clients import Http1, Http2
from support.proxy import Mitmproxy
from support.shared import shared_proxy
from support.stored import StoredHome

type Codec = Callable[[bytes], bytes]

COMPRESS: Mapping[str, Codec] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip, br": lambda body: bytes(brotli.compress(gzip.compress(body))),
    "identity": bytes,
}
_DICE = random.Random(7)
PROSE = " ".join("".join(_DICE.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(6000))
"""Compresses as an agent's instructions do."""
PATIENCE = 60.0


@dataclass
class Between:
    """A proxy, its upstream, and the rows it keeps."""

    proxy: Mitmproxy
    authority: Authority
    home: Path

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[Upstream]:
        """Afresh for each test: its port is another one each time."""
        async with Upstream(self.authority.server()) as running:
            yield running

    @asynccontextmanager
    async def client(self, version: str, upstream: Upstream) -> AsyncIterator[Http1 | Http2]:
        """Through the proxy as through any HTTPS_PROXY."""
        tls = certificates.client(ca_of(self.proxy.confdir), version)
        there = f"localhost:{upstream.port}"
        made = Http2(self.proxy.port, tls, through=there) if version == "h2" else Http1(self.proxy.port, tls, there)
        async with made as client:
            yield client

    async def row(self, model: str) -> Mapping[str, Any]:
        """The turn that asked for this model, once it is kept."""
        stored = StoredHome(self.home / ".codemie")
        where = select(requests).where(requests.c.model_asked == model)
        deadline = time.monotonic() + PATIENCE
        while True:
            found = await asyncio.to_thread(stored.read, lambda to: [dict(row) for row in to.execute(where).mappings()])
            if found:
                [row] = found
                return row
            assert time.monotonic() < deadline, f"no turn that asked for {model}"
            await asyncio.sleep(0.05)


@contextmanager
def between(home: Path, fresh: bool = False, **options: object) -> Iterator[Between]:
    """All that goes to localhost is ours. `fresh` is that of `Mitmproxy`."""
    authority = Authority(home)
    more = {"codemie_hosts": "localhost", "codemie_upstream_attempts_ca_file": authority.pem, **options}
    with shared_proxy(home, options=more, fresh=fresh) as proxy:
        yield Between(proxy, authority, home)
