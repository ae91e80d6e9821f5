"""Every way an upstream or a client can fail, seen from the client, byte for byte.

Three wires: an HTTP/1.1 client before an HTTP/1.1 upstream, an HTTP/2 client (TLS) before an HTTP/1.1 upstream, and
HTTP/2 (TLS) on both sides. One proxy per wire serves nearly the whole matrix, so each case also shows that the one
before it left nothing behind; faults that end with a deadline have proxies whose deadline is short.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import trustme

from codemie_core.demo.absent import closed_port, mute_listener, resetting_listener
from codemie_core.demo.frames import COMMENT, PING
from codemie_core.demo.script import Cut, Framing, Step
from codemie_core.demo.threaded import UpstreamThread
from support.clients import Answer, Headers, Http1, Http2
from support.wires import WIRES, Wire, until, wire_of

STREAM = json.dumps(
    {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
).encode()
PLAIN = STREAM.replace(b"true", b"false")
JSON = ("content-type", "application/json")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def wires(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Wire]]:
    """Each wire is built once; a parametrized fixture would be built anew for every case."""
    with ExitStack() as stack:

        def made(name: str) -> Wire:
            protocols, _, short = name.partition("/")
            return stack.enter_context(wire_of(protocols, ca, tmp_path_factory.mktemp("home"), short))

        yield cache(made)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, wires: Callable[[str], Wire]) -> Wire:
    """One of WIRES, or "h1-h1/head" for one with short deadlines."""
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
    short: str = ""
    """The deadlines that end it."""


H1_UPSTREAM = ("h1-h1", "h2-h1")
BUSY = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
OOPS = b'{"type":"error","error":{"type":"api_error","message":"oops"}}'
HTML = "text/html"


def status(code: int, body: bytes = OOPS, **more: Any) -> Step:
    return Step(status=code, body=body, headers=(JSON, *more.pop("headers", ())), **more)


def survived(name: str, *steps: Step, attempts: int = 2, **more: Any) -> Case:
    """The client gets a whole stream and knows nothing of the failure."""
    return Case(name, steps, is_whole_stream, "complete", attempts, **more)


def cut(name: str, step: Step, **more: Any) -> Case:
    """The client sees the cut."""
    return Case(name, (step,), is_cut_after(b"event: message_start"), "truncated", 1, **more)


def answered(name: str, code: int, kind: str, *steps: Step, attempts: int = 1, **more: Any) -> Case:
    """The client gets our error in its API's shape."""
    return Case(name, steps, is_problem(code, kind), "upstream_error", attempts, **more)


def released(name: str, code: int, body: bytes, *steps: Step, attempts: int = 1, **more: Any) -> Case:
    """The client gets the upstream's own error, byte for byte."""
    ending = "upstream_error" if code >= 500 else "complete"
    return Case(name, steps, is_exactly(code, body), ending, attempts, **more)


HTML_HEADERS = (("content-type", HTML),)
MANY_SPLITS = (3, 9, 20, 40, 41, 60, 80)
TRAILERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
    b"2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"
)
TWO_LENGTHS = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"

CASES = [
    survived("a stream", attempts=1),
    Case("a plain answer", (status(200, b'{"ok":1}'),), is_exactly(200, b'{"ok":1}'), "complete", 1, PLAIN),
    survived("reset before the head, once", Step(cut=Cut.RESET)),
    survived("closed before the head, once", Step(cut=Cut.CLOSE)),
    answered("reset before the head, always", 502, "api_error", attempts=3, then=Step(cut=Cut.RESET)),
    survived("reset after the head", Step(cut=Cut.RESET, after_events=0)),
    survived("closed after the head", Step(cut=Cut.CLOSE, after_events=0)),
    cut("reset in mid-stream", Step(cut=Cut.RESET, after_events=4)),
    cut("closed in mid-stream", Step(cut=Cut.CLOSE, after_events=4)),
    cut("goaway in mid-stream", Step(cut=Cut.GOAWAY, after_events=4)),
    cut("stalls in mid-stream", Step(cut=Cut.STALL, after_events=4), short="body"),
    cut("torn chunk", Step(cut=Cut.CLOSE, after_bytes=900), wires=H1_UPSTREAM),
    answered("never answers", 504, "timeout_error", Step(cut=Cut.STALL), short="head"),
    answered("never answers a plain request", 504, "timeout_error", Step(cut=Cut.STALL), body=PLAIN, short="head"),
    answered("stalls after the head", 504, "timeout_error", Step(cut=Cut.STALL, after_events=0), short="head"),
    *[survived(f"{code} once", status(code)) for code in (502, 503, 504, 529)],
    *[released(f"{code} always", code, OOPS, attempts=3, then=status(code)) for code in (502, 503, 504, 529)],
    released("503 of undeclared length", 503, OOPS, attempts=3, then=status(503, framing=Framing.CHUNKED)),
    released("500 is not tried again", 500, OOPS, status(500)),
    released("429 is not tried again", 429, BUSY, status(429, BUSY)),
    survived("503 with a short retry-after", status(503, headers=(("retry-after", "0"),))),
    released("503 with a long retry-after", 503, OOPS, status(503, headers=(("retry-after", "30"),))),
    answered("HTML 500", 500, "api_error", Step(status=500, body="<html>", headers=HTML_HEADERS)),
    answered(
        "HTML 502 always", 502, "api_error", attempts=3, then=Step(status=502, body="<html>", headers=HTML_HEADERS)
    ),
    answered("empty 503 always", 503, "api_error", attempts=3, then=Step(status=503, body=b"")),
    answered("chunked and empty 500", 500, "api_error", Step(status=500, body=b"", framing=Framing.CHUNKED)),
    survived("error event first, once", Step(error_event=True)),
    survived("error event after pings", Step(error_event=True, opening=(PING, COMMENT, PING))),
    survived("error event split over chunks", Step(error_event=True, opening=(PING,), split=MANY_SPLITS)),
    *[
        survived(f"error event in {coding}", Step(error_event=True, encoding=coding))
        for coding in ("gzip", "br", "zstd")
    ],
    answered("garbage head", 502, "api_error", Step(raw=b"\x00\x01garbage\r\n\r\n"), wires=H1_UPSTREAM),
    answered("half a head", 502, "api_error", Step(raw=b"HTTP/1.1 200 OK\r\nconte"), wires=H1_UPSTREAM),
    answered("oversized head", 502, "api_error", Step(head_bytes=2**20), wires=H1_UPSTREAM),
    answered("endless head", 502, "api_error", Step(head_bytes=-1), wires=H1_UPSTREAM),
    answered("two lengths", 502, "api_error", Step(raw=TWO_LENGTHS), wires=H1_UPSTREAM),
    survived("head byte by byte", Step(trickle=True), attempts=1, wires=H1_UPSTREAM),
    survived("connection: close", Step(connection_close=True), attempts=1, wires=H1_UPSTREAM),
    survived("a body that ends with its connection", Step(framing=Framing.CLOSE), attempts=1, wires=H1_UPSTREAM),
    Case("trailers", (Step(raw=TRAILERS),), is_exactly(200, b"ok", "text/plain"), "complete", 1, wires=H1_UPSTREAM),
    survived("expect: 100-continue", attempts=1, headers=(("expect", "100-continue"),), wires=("h1-h1",)),
]


@pytest.mark.parametrize(
    "wire, case",
    [
        pytest.param(f"{wire}/{case.short}".rstrip("/"), case, id=f"{wire}-{case.name}")
        for wire in WIRES
        for case in CASES
        if wire in case.wires
    ],
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
    # The upstream may not have read yet what nobody waits for any more.
    await until(lambda: wire.requests - before == case.attempts)
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
    """A certificate nobody trusts is final, a broken handshake is tried again."""
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


@pytest.mark.parametrize("wire", [f"{wire}/head" for wire in WIRES], indirect=True)
async def test_a_handshake_that_hangs_meets_the_deadline(wire: Wire, client: Http1 | Http2) -> None:
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


async def leave(client: Http1 | Http2, stream: int | None) -> None:
    """Give up a request as a client of its protocol does."""
    if isinstance(client, Http2):
        assert stream is not None
        client.reset(stream)
    else:
        client.leave()


async def four_events(client: Http1 | Http2, stream: int | None) -> None:
    """Wait until the client holds them."""
    if isinstance(client, Http2):
        assert stream is not None
        answer = client.answers[stream]
        await client.wait(lambda: answer.body.count(b"\n\n") >= 4)
    else:
        await client.reader.readuntil(b"content_block_delta")


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
            await four_events(client, stream)
        if isinstance(client, Http2):
            await leave(client, stream)
            # Before the connection goes, which would end it too.
            await until(lambda: len(upstream.cancelled) == cancelled + 1)
            is_whole_stream(await client.ask("POST", "/v1/messages", (JSON,), STREAM))
            assert sorted(done["terminal"] for done in await wire.ended(2)) == ["client_cancelled", "complete"]
        else:
            await leave(client, stream)
            (done,) = await wire.ended()
            assert (done["terminal"], len(done["attempts"])) == ("client_cancelled", attempts)
    await until(lambda: len(upstream.cancelled) == cancelled + 1)
    assert wire.requests - before == attempts + (1 if wire.client_tls else 0)


async def test_a_client_that_leaves_during_connect_or_back_off_ends_it(wire: Wire) -> None:
    """No dial goes on and no attempt begins for somebody who has gone."""
    dialed = asyncio.Event()
    async with mute_listener(dialed=dialed.set) as port, wire.connect() as client:
        stream = await client.send(
            "POST", "/v1/messages", (JSON, ("x-test-target", f"https://127.0.0.1:{port}")), STREAM
        )
        await asyncio.wait_for(dialed.wait(), 60)
        await leave(client, stream)
        (done,) = await wire.ended()
        assert (done["terminal"], len(done["attempts"])) == ("client_cancelled", 1)
    before = wire.requests
    wire.script(then=status(503, headers=(("retry-after", "0.09"),)))
    async with wire.connect() as client:
        stream = await client.send("POST", "/v1/messages", (JSON,), STREAM)
        await until(lambda: wire.requests > before)
        await leave(client, stream)
        (done,) = await wire.ended()
    assert done["terminal"] in ("client_cancelled", "upstream_error")


POST = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n"
MALFORMED = {
    "no HTTP at all": (b"\x16hello\r\n\r\n", 0),
    "two lengths": (POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx", 1),
    "length and chunked": (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx", 1),
    "endless head": (POST + b"x-pad: " + b"y" * 300_000, 0),
}
"""What is sent, and how many exchanges it begins."""


@pytest.mark.parametrize("wire", ["h1-h1"], indirect=True)
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_answered_in_json(wire: Wire, name: str) -> None:
    """mitmproxy's own HTML page never shows."""
    sent, exchanges = MALFORMED[name]
    async with Http1(wire.proxy.port) as client:
        await client.write(sent)
        answer = await client.read(await client.head())
    assert answer.status in (400, 431)
    assert answer.header("content-type") == "application/json"
    assert json.loads(answer.body)["error"]["message"]
    assert [done["terminal"] for done in await wire.ended(exchanges)] == ["refused"] * exchanges
