"""Every way an upstream or a client can fail, seen from the client, byte for byte.

Three wires: an HTTP/1.1 client before an HTTP/1.1 upstream, an HTTP/2 client (TLS) before an HTTP/1.1 upstream, and
HTTP/2 (TLS) on both sides. Deadlines are milliseconds. One proxy per wire serves the whole matrix, so each case also
shows that the one before it left nothing behind.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme
from codemie_core.demo.absent import closed_port, mute_listener, resetting_listener
from codemie_core.demo.frames import COMMENT, PING
from codemie_core.demo.script import Cut, Framing, Step
from codemie_core.demo.threaded import UpstreamThread

from support import recorder
from support.clients import Answer, Headers, Http1, Http2
from support.proxy import BUNDLE, Mitmproxy
from support.shared import shared_proxy

SUPPORT = Path(__file__).parents[1] / "support"
OPTIONS = {
    "codemie_upstream_attempts_backoff": "2ms",
    "codemie_upstream_attempts_backoff_max": "100ms",
    "codemie_upstream_attempts_connect_timeout": "400ms",
    "codemie_upstream_attempts_first_byte_timeout": "500ms",
    "codemie_upstream_attempts_first_byte_timeout_plain": "500ms",
    "codemie_upstream_attempts_idle_timeout": "500ms",
    "codemie_upstream_attempts_max_request_size": "1m",
    "flow_detail": 0,
}
STREAM = json.dumps(
    {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
).encode()
PLAIN = STREAM.replace(b"true", b"false")
JSON = ("content-type", "application/json")


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

    async def ended(self, count: int = 1, timeout: float = 5.0) -> list[dict[str, Any]]:
        """The next exchanges that ended; fails when there are more of them than asked for."""
        deadline = time.monotonic() + timeout
        while True:
            fresh = recorder.records(self.record)[self.seen :]
            if len(fresh) >= count or time.monotonic() > deadline:
                self.seen += len(fresh)
                assert len(fresh) == count, f"{fresh}\n{self.proxy.log[-2000:]}"
                return fresh
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


WIRES = ("h1-h1", "h2-h1", "h2-h2")


@contextmanager
def wire_of(name: str, ca: trustme.CA, home: Path) -> Iterator[Wire]:
    record = home / "exchanges.jsonl"
    ca_file = home / "upstream-ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    options = {**OPTIONS, "codemie_upstream_attempts_ca_file": ca_file}
    upstream_tls = None
    if name == "h2-h2":
        upstream_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("localhost", "127.0.0.1").configure_cert(upstream_tls)
    with UpstreamThread(tls=upstream_tls) as thread:
        target = thread.url.replace("127.0.0.1", "localhost")
        scripts = (BUNDLE, recorder.SCRIPT, SUPPORT / "steer.py")
        mode = ("--mode", f"reverse:{target}")
        with shared_proxy(home, *mode, scripts=scripts, options=options, env=recorder.env(record)) as proxy:
            client_tls = None
            if name.startswith("h2"):
                client_tls = ssl.create_default_context(cafile=str(proxy.confdir / "mitmproxy-ca-cert.pem"))
                client_tls.set_alpn_protocols(["h2"])
            yield Wire(name, proxy, thread, record, client_tls)


@pytest.fixture(scope="module")
def wires(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Wire]]:
    """Each wire is built once; a parametrized fixture would be built anew for every case."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(wire_of(name, ca, tmp_path_factory.mktemp("home"))))


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, wires: Callable[[str], Wire]) -> Wire:
    return wires(request.param)


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[Http1 | Http2]:
    wire.script()
    async with wire.connect() as client:
        yield client


def error_of(answer: Answer) -> dict[str, Any]:
    assert answer.header("content-type") == "application/json", answer
    error: dict[str, Any] = json.loads(answer.body)
    assert error["type"] == "error"
    assert error["request_id"] == answer.header("x-codemie-request-id")
    return error


type Check = Callable[[Answer], None]


def is_whole_stream(answer: Answer) -> None:
    assert answer.status == 200
    assert answer.body.startswith(b"event: message_start")
    assert b"event: message_stop" in answer.body
    assert answer.ended == "complete"


def is_problem(status: int, kind: str) -> Check:
    def check(answer: Answer) -> None:
        assert (answer.status, error_of(answer)["error"]["type"], answer.ended) == (status, kind, "complete")

    return check


def is_exactly(status: int, body: bytes, content_type: str = "application/json") -> Check:
    def check(answer: Answer) -> None:
        got = (answer.status, answer.body, answer.header("content-type"), answer.ended)
        assert got == (status, body, content_type, "complete")

    return check


def is_cut_after(prefix: bytes) -> Check:
    def check(answer: Answer) -> None:
        assert answer.status == 200
        assert answer.body.startswith(prefix)
        assert b"message_stop" not in answer.body
        assert answer.ended in ("cut", "reset")

    return check


@dataclass(frozen=True)
class Case:
    """One fault: what the upstream does, what the client sees, how the exchange is recorded."""

    name: str
    steps: tuple[Step, ...]
    check: Check
    terminal: str
    attempts: int
    body: bytes = STREAM
    then: Step | None = None
    wires: tuple[str, ...] = WIRES
    """Some faults have no form in HTTP/2."""
    headers: Headers = field(default=())


H1_UPSTREAM = ("h1-h1", "h2-h1")
BUSY = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
OOPS = b'{"type":"error","error":{"type":"api_error","message":"oops"}}'
HTML = "text/html"


def status(code: int, body: bytes = OOPS, **more: Any) -> Step:
    return Step(status=code, body=body, headers=(JSON, *more.pop("headers", ())), **more)


CASES = [
    Case("a stream", (), is_whole_stream, "complete", 1),
    Case("a plain answer", (status(200, b'{"ok":1}'),), is_exactly(200, b'{"ok":1}'), "complete", 1, PLAIN),
    Case("reset before the head, once", (Step(cut=Cut.RESET),), is_whole_stream, "complete", 2),
    Case("closed before the head, once", (Step(cut=Cut.CLOSE),), is_whole_stream, "complete", 2),
    Case("reset before the head, always", (), is_problem(502, "api_error"), "upstream_error", 3, then=Step(cut=Cut.RESET)),
    Case("reset after the head", (Step(cut=Cut.RESET, after_events=0),), is_whole_stream, "complete", 2),
    Case("closed after the head", (Step(cut=Cut.CLOSE, after_events=0),), is_whole_stream, "complete", 2),
    Case("reset in mid-stream", (Step(cut=Cut.RESET, after_events=4),), is_cut_after(b"event: message_start"), "truncated", 1),
    Case("closed in mid-stream", (Step(cut=Cut.CLOSE, after_events=4),), is_cut_after(b"event: message_start"), "truncated", 1),
    Case("goaway in mid-stream", (Step(cut=Cut.GOAWAY, after_events=4),), is_cut_after(b"event: message_start"), "truncated", 1),
    Case("torn chunk", (Step(cut=Cut.CLOSE, after_bytes=900),), is_cut_after(b"event: message_start"), "truncated", 1, wires=H1_UPSTREAM),
    Case("never answers", (Step(cut=Cut.STALL),), is_problem(504, "timeout_error"), "upstream_error", 1),
    Case("never answers a plain request", (Step(cut=Cut.STALL),), is_problem(504, "timeout_error"), "upstream_error", 1, PLAIN),
    Case("stalls after the head", (Step(cut=Cut.STALL, after_events=0),), is_problem(504, "timeout_error"), "upstream_error", 1),
    Case("stalls in mid-stream", (Step(cut=Cut.STALL, after_events=4),), is_cut_after(b"event: message_start"), "truncated", 1),
    *[
        Case(f"{code} once", (status(code),), is_whole_stream, "complete", 2)
        for code in (502, 503, 504, 529)
    ],
    *[
        Case(f"{code} always", (), is_exactly(code, OOPS), "upstream_error", 3, then=status(code))
        for code in (502, 503, 504, 529)
    ],
    Case("503 of undeclared length", (), is_exactly(503, OOPS), "upstream_error", 3, then=status(503, framing=Framing.CHUNKED)),
    Case("500 is not tried again", (status(500),), is_exactly(500, OOPS), "upstream_error", 1),
    Case("429 is not tried again", (status(429, BUSY),), is_exactly(429, BUSY), "complete", 1),
    Case("503 with a short retry-after", (status(503, headers=(("retry-after", "0"),)),), is_whole_stream, "complete", 2),
    Case("503 with a long retry-after", (status(503, headers=(("retry-after", "30"),)),), is_exactly(503, OOPS), "upstream_error", 1),
    Case("HTML 500", (Step(status=500, body="<html>", headers=(("content-type", HTML),)),), is_problem(500, "api_error"), "upstream_error", 1),
    Case("HTML 502 always", (), is_problem(502, "api_error"), "upstream_error", 3, then=Step(status=502, body="<html>", headers=(("content-type", HTML),))),
    Case("empty 503 always", (), is_problem(503, "api_error"), "upstream_error", 3, then=Step(status=503, body=b"")),
    Case("chunked and empty 500", (Step(status=500, body=b"", framing=Framing.CHUNKED),), is_problem(500, "api_error"), "upstream_error", 1),
    Case("error event first, once", (Step(error_event=True),), is_whole_stream, "complete", 2),
    Case("error event after pings", (Step(error_event=True, opening=(PING, COMMENT, PING)),), is_whole_stream, "complete", 2),
    Case("error event split over chunks", (Step(error_event=True, opening=(PING,), split=(3, 9, 20, 40, 41, 60, 80)),), is_whole_stream, "complete", 2),
    *[
        Case(f"error event in {coding}", (Step(error_event=True, encoding=coding),), is_whole_stream, "complete", 2)
        for coding in ("gzip", "br", "zstd")
    ],
    Case("garbage head", (Step(raw=b"\x00\x01garbage\r\n\r\n"),), is_problem(502, "api_error"), "upstream_error", 1, wires=H1_UPSTREAM),
    Case("head that ends in the middle", (Step(raw=b"HTTP/1.1 200 OK\r\nconte"),), is_problem(502, "api_error"), "upstream_error", 1, wires=H1_UPSTREAM),
    Case("oversized head", (Step(head_bytes=2**20),), is_problem(502, "api_error"), "upstream_error", 1, wires=H1_UPSTREAM),
    Case("endless head", (Step(head_bytes=-1),), is_problem(502, "api_error"), "upstream_error", 1, wires=H1_UPSTREAM),
    Case("head byte by byte", (Step(trickle=True),), is_whole_stream, "complete", 1, wires=H1_UPSTREAM),
    Case("two lengths", (Step(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"),), is_problem(502, "api_error"), "upstream_error", 1, wires=H1_UPSTREAM),
    Case("connection: close", (Step(connection_close=True),), is_whole_stream, "complete", 1, wires=H1_UPSTREAM),
    Case("a body that ends with its connection", (Step(framing=Framing.CLOSE),), is_whole_stream, "complete", 1, wires=H1_UPSTREAM),
    Case("expect: 100-continue", (), is_whole_stream, "complete", 1, headers=(("expect", "100-continue"),), wires=("h1-h1",)),
]  # fmt: skip


@pytest.mark.parametrize(
    "wire, case",
    [pytest.param(wire, case, id=f"{wire}-{case.name}") for wire in WIRES for case in CASES if wire in case.wires],
    indirect=["wire"],
)
async def test_the_client_sees_a_second_try_or_a_clear_answer(wire: Wire, client: Http1 | Http2, case: Case) -> None:
    """Each fault: the bytes at the client, the number of attempts, one exchange_done with the right end."""
    before = wire.requests
    wire.script(*case.steps, then=case.then)
    answer = await client.ask("POST", "/v1/messages", (JSON, *case.headers), case.body)
    case.check(answer)
    (done,) = await wire.ended()
    assert (done["terminal"], len(done["attempts"])) == (case.terminal, case.attempts), done
    assert wire.requests - before == case.attempts
    assert done["request_id"] in (answer.header("x-codemie-request-id"), done["request_id"])


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
async def test_compressed_streams_pass_byte_for_byte(wire: Wire, client: Http1 | Http2, coding: str) -> None:
    """What was compressed stays as it was; the gate looks at a copy."""
    frames = [f'event: message_start\ndata: {{"n":{n}}}\n\n'.encode() for n in range(5)]
    wire.script(Step(events=frames, encoding=coding))
    answer = await client.ask("POST", "/v1/messages", (JSON,), STREAM)
    assert (answer.status, answer.header("content-encoding"), answer.ended) == (200, coding, "complete")
    if coding == "gzip":
        assert gzip.decompress(answer.body) == b"".join(frames)
    (done,) = await wire.ended()
    assert (done["terminal"], done["response_bytes"]) == ("complete", len(answer.body))


ELSEWHERE = [
    ("connect refused", lambda: f"http://127.0.0.1:{closed_port()}", 502, "could not be reached", "connect_failed", 3),
    ("unknown host", lambda: "http://no-such-host.invalid:80", 502, "could not be resolved", "dns_failed", 3),
]


@pytest.mark.parametrize("name, target, status_code, words, reason, attempts", ELSEWHERE, ids=[e[0] for e in ELSEWHERE])
async def test_an_upstream_that_cannot_be_reached_is_answered_in_json(
    wire: Wire,
    client: Http1 | Http2,
    name: str,
    target: Callable[[], str],
    status_code: int,
    words: str,
    reason: str,
    attempts: int,
) -> None:
    """No HTML, no hang, and the next request on the same connection gets a fresh chance."""
    for _ in range(2):
        answer = await client.ask("POST", "/v1/messages", (JSON, ("x-test-target", target())), STREAM)
        assert answer.status == status_code
        assert words in error_of(answer)["error"]["message"]
        (done,) = await wire.ended()
        assert done["terminal"] == "upstream_error"
        assert [a["reason"] for a in done["attempts"]] == [reason] * attempts
    is_whole_stream(await client.ask("POST", "/v1/messages", (JSON,), STREAM))
    await wire.ended()


async def test_tls_that_fails_is_told_apart(wire: Wire, client: Http1 | Http2) -> None:
    """A certificate nobody trusts is final, a handshake that breaks is tried again, one that hangs runs into the deadline."""
    untrusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(untrusted)
    with UpstreamThread(tls=untrusted) as stranger:
        answer = await client.ask("POST", "/v1/messages", (JSON, ("x-test-target", stranger.url)), STREAM)
    assert answer.status == 502
    assert "certificate" in error_of(answer)["error"]["message"]
    (done,) = await wire.ended()
    assert [a["reason"] for a in done["attempts"]] == ["certificate_refused"]
    async with resetting_listener() as port:
        answer = await client.ask(
            "POST", "/v1/messages", (JSON, ("x-test-target", f"https://127.0.0.1:{port}")), STREAM
        )
    assert (answer.status, error_of(answer)["error"]["type"]) == (502, "api_error")
    (done,) = await wire.ended()
    # A reset may come before or after the TCP handshake is known to stand.
    assert {a["reason"] for a in done["attempts"]} <= {"tls_failed", "connect_failed"}
    assert len(done["attempts"]) == 3
    async with mute_listener() as port:
        answer = await client.ask(
            "POST", "/v1/messages", (JSON, ("x-test-target", f"https://127.0.0.1:{port}")), STREAM
        )
    assert (answer.status, error_of(answer)["error"]["type"]) == (504, "timeout_error")
    (done,) = await wire.ended()
    assert [a["reason"] for a in done["attempts"]] == ["connect_timeout"] * 3


async def test_a_request_body_over_the_cap_gets_413_in_the_apis_shape(wire: Wire, client: Http1 | Http2) -> None:
    """The client may finish sending; nothing goes upstream."""
    before = wire.requests
    answer = await client.ask("POST", "/v1/messages", (JSON,), b"x" * (2**20 + 1))
    assert (answer.status, error_of(answer)["error"]["type"]) == (413, "request_too_large")
    (done,) = await wire.ended()
    assert (done["terminal"], done["attempts"], wire.requests - before) == ("refused", [], 0)
    is_whole_stream(await client.ask("POST", "/v1/messages", (JSON,), STREAM))
    await wire.ended()


LEAVING = {
    "while it waits for the head": Step(cut=Cut.STALL),
    "while the gate is closed": Step(cut=Cut.STALL, after_events=0),
    "in mid-stream": Step(cut=Cut.STALL, after_events=4),
}


@pytest.mark.parametrize("retried", [False, True], ids=["at the first attempt", "after a retry"])
@pytest.mark.parametrize("stage", LEAVING)
async def test_the_upstream_call_is_cancelled_the_moment_the_client_leaves(
    wire: Wire, stage: str, retried: bool
) -> None:
    """At every stage, also when the attempt runs under an alias; nothing is tried again afterwards."""
    upstream = wire.thread.upstream
    before, cancelled = wire.requests, len(upstream.cancelled)
    wire.script(*([status(529)] if retried else []), LEAVING[stage])
    attempts = 2 if retried else 1
    async with wire.connect() as client:
        stream = await client.send("POST", "/v1/messages", (JSON,), STREAM)
        await until(lambda: wire.requests - before == attempts and upstream.requests[-1].complete)
        if stage != "while it waits for the head":
            await until(lambda: upstream.requests[-1].head_sent)
        if stage == "in mid-stream":
            if isinstance(client, Http2):
                await client.wait(lambda: client.answers[stream].body.count(b"\n\n") == 4)
            else:
                await client.reader.readuntil(b"content_block_delta")
        if isinstance(client, Http2):
            client.reset(stream)
            is_whole_stream(await client.ask("POST", "/v1/messages", (JSON,), STREAM))
            assert sorted(done["terminal"] for done in await wire.ended(2)) == ["client_cancelled", "complete"]
        else:
            client.leave()
            (done,) = await wire.ended()
            assert (done["terminal"], len(done["attempts"])) == ("client_cancelled", attempts)
    await until(lambda: len(upstream.cancelled) == cancelled + 1)
    assert wire.requests - before == attempts + (1 if wire.client_tls else 0)


async def test_a_client_that_leaves_during_connect_or_back_off_ends_it(wire: Wire) -> None:
    """No dial goes on and no attempt begins for somebody who has gone."""
    async with mute_listener() as port, wire.connect() as client:
        stream = await client.send(
            "POST", "/v1/messages", (JSON, ("x-test-target", f"https://127.0.0.1:{port}")), STREAM
        )
        await asyncio.sleep(0.1)  # The dial has no sign that a test could wait for.
        client.reset(stream) if isinstance(client, Http2) else client.leave()
        (done,) = await wire.ended()
        assert (done["terminal"], len(done["attempts"])) == ("client_cancelled", 1)
    before = wire.requests
    wire.script(then=status(503, headers=(("retry-after", "0.09"),)))
    async with wire.connect() as client:
        stream = await client.send("POST", "/v1/messages", (JSON,), STREAM)
        await until(lambda: wire.requests > before)
        client.reset(stream) if isinstance(client, Http2) else client.leave()
        (done,) = await wire.ended()
    assert done["terminal"] in ("client_cancelled", "upstream_error")


async def until(predicate: Callable[[], bool], timeout: float = 5.0) -> None:
    """Poll something of another thread."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.002)


MALFORMED = {
    "no HTTP at all": b"\x16hello\r\n\r\n",
    "two lengths": b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "length and chunked": b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx",
    "endless head": b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + b"x-pad: " + b"y" * 300_000,
}


@pytest.mark.parametrize("wire", ["h1-h1"], indirect=True)
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_answered_in_json(wire: Wire, name: str) -> None:
    """mitmproxy's own HTML page never shows."""
    async with Http1(wire.proxy.port) as client:
        await client.write(MALFORMED[name])
        answer = await client.read(await client.head())
    assert answer.status in (400, 431)
    assert answer.header("content-type") == "application/json"
    assert json.loads(answer.body)["error"]["message"]
    await asyncio.sleep(0.02)
    fresh = recorder.records(wire.record)[wire.seen :]
    wire.seen += len(fresh)
    assert [done["terminal"] for done in fresh] in ([], ["refused"])
