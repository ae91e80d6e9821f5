"""A proxy with the scripted upstream behind it, for each pair of protocols that agents and APIs speak.

"h1-h1": an HTTP/1.1 client before an HTTP/1.1 upstream; "h2-h1": an HTTP/2 client (TLS) before an HTTP/1.1 upstream;
"h2-h2": HTTP/2 over TLS on both sides. No deadline comes near what a busy machine needs, but for those asked for.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support import recorder
from support.clients import Http1, Http2
from support.proxy import BUNDLE, Mitmproxy
from support.shared import shared_proxy

WIRES = ("h1-h1", "h2-h1", "h2-h2")
STEER = Path(__file__).parent / "steer.py"
OPTIONS = {
    "codemie_upstream_attempts_backoff": "2ms",
    "codemie_upstream_attempts_backoff_max": "100ms",
    "codemie_upstream_attempts_max_request_size": "1m",
    "flow_detail": 0,
}
DEADLINES = {
    "": (),
    "head": ("connect_timeout", "first_byte_timeout", "first_byte_timeout_plain"),
    "body": ("idle_timeout",),
}
"""Which of them are short: while one fault waits for its own, no other may fall to a machine that stands still."""
SHORT, LONG = "300ms", "100s"


@dataclass
class Wire:
    """A proxy with an upstream behind it and the client's protocol before it."""

    name: str
    proxy: Mitmproxy
    thread: UpstreamThread
    record: Path
    client_tls: ssl.SSLContext | None
    seen: int = 0

    def connect(self) -> Http1 | Http2:
        return Http2(self.proxy.port, self.client_tls) if self.client_tls else Http1(self.proxy.port)

    def script(self, *steps: Step, then: Step | None = None) -> None:
        self.thread.call(lambda: self.thread.upstream.script(*steps, then=then))

    @property
    def requests(self) -> int:
        return self.thread.upstream.request_count

    async def ended(self, count: int = 1, timeout: float = 60.0) -> list[dict[str, Any]]:
        """The next exchanges that ended; fails when there are more of them than asked for."""
        deadline = time.monotonic() + timeout
        while True:
            fresh = recorder.records(self.record)[self.seen :]
            if len(fresh) >= count or time.monotonic() > deadline:
                self.seen += len(fresh)
                assert len(fresh) == count, f"{fresh}\n{self.proxy.log[-2000:]}"
                return fresh
            await asyncio.sleep(0.005)


@contextmanager
def wire_of(name: str, ca: trustme.CA, home: Path, short: str = "") -> Iterator[Wire]:
    """`short` is one of DEADLINES."""
    record = home / "exchanges.jsonl"
    ca_file = home / "upstream-ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    options = {**OPTIONS, "codemie_upstream_attempts_ca_file": ca_file}
    for deadline in itertools.chain.from_iterable(DEADLINES.values()):
        options[f"codemie_upstream_attempts_{deadline}"] = SHORT if deadline in DEADLINES[short] else LONG
    upstream_tls = None
    if name == "h2-h2":
        upstream_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("localhost", "127.0.0.1").configure_cert(upstream_tls)
    with UpstreamThread(tls=upstream_tls) as thread:
        target = thread.url.replace("127.0.0.1", "localhost")
        scripts = (BUNDLE, recorder.SCRIPT, STEER)
        mode = ("--mode", f"reverse:{target}")
        with shared_proxy(home, *mode, scripts=scripts, options=options, env=recorder.env(record)) as proxy:
            client_tls = None
            if name.startswith("h2"):
                client_tls = ssl.create_default_context(cafile=str(proxy.confdir / "mitmproxy-ca-cert.pem"))
                client_tls.set_alpn_protocols(["h2"])
            yield Wire(name, proxy, thread, record, client_tls)


async def until(predicate: Callable[[], bool], timeout: float = 60.0) -> None:
    """Poll something of another thread."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.002)
