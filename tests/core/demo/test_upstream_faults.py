"""Faults of HTTP/1.1, byte for byte."""

import asyncio
import gzip
from typing import Any

import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.presets import PRESETS, preset
from codemie_core.demo.script import Cut, Framing, Step
from codemie_core.demo.upstream import Upstream
from support.leftovers import leftover_tasks
from support.raw_client import raw_client

EVENTS = [sse("one"), sse("two"), sse("three")]


async def answer(upstream: Upstream, step: Step) -> bytes:
    """Everything a client receives for one request, up to the end of the connection."""
    upstream.script(step)
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        return await client.rest()


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.DROP])
@pytest.mark.parametrize("where", [{}, {"after_events": 0}, {"after_events": 1}, {"after_bytes": 5}])
async def test_a_reset_is_a_tcp_reset(upstream: Upstream, cut: Cut, where: dict[str, Any]) -> None:
    with pytest.raises(ConnectionResetError):
        await answer(upstream, Step(events=EVENTS, cut=cut, **where))
    assert upstream.finished == 0
    assert upstream.cancelled == []


async def test_what_was_sent_before_a_reset_arrives(upstream: Upstream) -> None:
    upstream.script(Step(events=EVENTS, cut=Cut.RESET, after_events=2))
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        assert b"data: one" in await client.until(b"data: two\n\n\r\n")


async def test_a_close_before_the_head_sends_nothing(upstream: Upstream) -> None:
    assert await answer(upstream, Step(cut=Cut.CLOSE)) == b""


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ({"after_events": 0}, b""),
        ({"after_events": 1}, b"b\r\ndata: one\n\n\r\n"),
        ({"after_events": 99}, b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\nd\r\ndata: three\n\n\r\n"),
        ({"after_bytes": 15}, b"b\r\ndata: one\n\n\r\nb\r\ndata"),
    ],
)
async def test_a_close_in_the_stream_leaves_the_chunks_unterminated(
    upstream: Upstream, where: dict[str, Any], body: bytes
) -> None:
    received = await answer(upstream, Step(events=EVENTS, cut=Cut.CLOSE, **where))
    assert received.partition(b"\r\n\r\n")[2] == body


async def test_a_stall_sends_its_events_and_then_waits_for_the_client_to_leave(upstream: Upstream) -> None:
    upstream.script(Step(events=EVENTS, cut=Cut.STALL, after_events=2))
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        await client.until(b"data: two\n\n\r\n")
        assert not upstream.requests[0].cancelled
        client.leave()
        await upstream.wait_cancelled(1)
    assert upstream.cancelled == upstream.requests
    assert upstream.requests[0].sent_events == 2


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(status=502, body=b""), b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
        (
            Step(status=503, body=b"", framing=Framing.CHUNKED),
            b"HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            Step(body="<p>", headers=[("Content-Type", "text/html")], connection_close=True),
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncontent-length: 3\r\nconnection: close\r\n\r\n<p>",
        ),
        (
            Step(body="{}", framing=Framing.CLOSE),
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}",
        ),
        (
            Step(body="{}", content_length=9),
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{}",
        ),
        (Step(raw=b"\x16\x03\x01 rubbish"), b"\x16\x03\x01 rubbish"),
        (Step(raw=b"HTTP/1.1 200 OK\r\nconte"), b"HTTP/1.1 200 OK\r\nconte"),
    ],
)
async def test_the_bytes_of_an_answer_are_these(upstream: Upstream, step: Step, expected: bytes) -> None:
    upstream.script(step)
    async with raw_client(upstream.port) as client:
        await client.ask()
        received = b""
        while len(received) < len(expected):
            received += await client.arrived()
    assert received == expected


async def test_a_trickled_head_is_the_same_head(upstream: Upstream) -> None:
    received = await answer(upstream, Step(body="{}", trickle=True, connection_close=True))
    assert received.endswith(b"connection: close\r\n\r\n{}")


async def test_a_head_can_be_oversized(upstream: Upstream) -> None:
    received = await answer(upstream, Step(body="{}", head_bytes=2**20, connection_close=True))
    assert abs(len(received) - 2**20) < 2000


async def test_an_endless_head_ends_with_its_client(upstream: Upstream) -> None:
    upstream.script(Step(head_bytes=-1))
    async with raw_client(upstream.port) as client:
        await client.ask()
        size = 0
        while size < 2**21:
            size += len(await client.arrived())
    await upstream.wait_cancelled(1)


async def test_a_split_ends_a_write_inside_of_an_event(upstream: Upstream) -> None:
    received = await answer(upstream, Step(events=EVENTS[:1], split=[3, 8], connection_close=True))
    assert received.endswith(b"\r\n\r\n3\r\ndat\r\n5\r\na: on\r\n3\r\ne\n\n\r\n0\r\n\r\n")


async def test_an_error_event_may_come_gzipped_after_events_and_in_pieces(upstream: Upstream) -> None:
    step = Step(
        events=EVENTS,
        error_event=True,
        error_at=1,
        encoding="gzip",
        split=[5],
        framing=Framing.CLOSE,
    )
    received = await answer(upstream, step)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head
    assert gzip.decompress(body).startswith(b"data: one\n\nevent: error\ndata: {")


async def test_a_client_that_leaves_before_its_body_is_complete_is_cancelled(upstream: Upstream) -> None:
    async with raw_client(upstream.port) as client:
        await client.send(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 10\r\n\r\n12")
        await upstream.wait_until(lambda: upstream.request_count == 1)
    await upstream.wait_cancelled(1)
    assert not upstream.requests[0].complete


async def test_expect_is_answered_by_a_100_unless_the_step_answers_early(upstream: Upstream) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    upstream.script(Step(body="{}"), Step(status=413, body="{}", early=True))
    async with raw_client(upstream.port) as client:
        await client.send(head)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"{}")
        assert (await client.until(b"{}")).startswith(b"HTTP/1.1 200")
        await client.send(head)
        assert (await client.until(b"{}")).startswith(b"HTTP/1.1 413")
        await client.send(b"{}")
        await upstream.wait_requests(2)


async def test_requests_are_recorded_in_order_and_case_with_chunked_bodies(upstream: Upstream) -> None:
    async with raw_client(upstream.port) as client:
        for _ in range(2):
            await client.send(
                b"POST /v1/messages?a=1 HTTP/1.1\r\nHost: h\r\nX-ZED: 1\r\nx-alpha: 2\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            )
            await client.until(b"}}")
    received = upstream.requests[1]
    assert received.headers[:3] == [("Host", "h"), ("X-ZED", "1"), ("x-alpha", "2")]
    assert (received.json(), received.path, received.connection) == ({}, "/v1/messages", 1)
    assert (upstream.connections, upstream.finished) == (1, 2)


async def test_a_malformed_request_is_refused_and_the_connection_ends(upstream: Upstream) -> None:
    async with raw_client(upstream.port) as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", PRESETS)
async def test_every_preset_plays(upstream: Upstream, name: str) -> None:
    step = preset(name)
    step.interval = 0
    upstream.script(step)
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        if name == "hang":
            await upstream.wait_requests(1)
            return
        try:
            received = await client.arrived()
        except ConnectionResetError:
            received = b""
    assert bool(received) == (name not in {"reset", "close"})


async def test_the_steps_are_dealt_out_in_order_and_then_forever(upstream: Upstream) -> None:
    upstream.script(Step(status=500), then=Step(status=503))
    async with raw_client(upstream.port) as client:
        statuses = []
        for _ in range(3):
            await client.ask()
            statuses.append((await client.until(b"}}"))[9:12])
    assert statuses == [b"500", b"503", b"503"]


async def test_nothing_is_left_when_the_context_ends_with_open_streams() -> None:
    async with Upstream() as upstream:
        upstream.script(then=Step(cut=Cut.STALL, after_events=1))
        connections = [await asyncio.open_connection("127.0.0.1", upstream.port) for _ in range(5)]
        for _, writer in connections:
            writer.write(b'POST /v1/messages HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"stream":true}')
        await upstream.wait_until(lambda: upstream.events_sent == 5)
    assert upstream.open_connections == 0
    assert upstream.cancelled == []
    assert leftover_tasks() == []
    for _, writer in connections:
        writer.transport.abort()


async def test_a_step_that_cannot_be_played_is_told_and_leaves_no_client_waiting(upstream: Upstream) -> None:
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        with pytest.raises(ConnectionResetError):
            await answer(upstream, Step(encoding="lzw"))
    finally:
        loop.set_exception_handler(handler)
    assert [str(context["exception"]) for context in told] == ["unknown encoding 'lzw'; use gzip, deflate, br or zstd"]
