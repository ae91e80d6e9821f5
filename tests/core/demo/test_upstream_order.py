"""Order and time: gates, pace, back-pressure, encodings that can be read event by event."""

import asyncio
import re
import time
from itertools import pairwise

import httpx
import pytest

from codemie_core.demo.encoding import encoder
from codemie_core.demo.frames import BIG_FRAME, big_frames, sse
from codemie_core.demo.gate import Gate
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support.raw_client import raw_client

EVENTS = [sse("one"), sse("two"), sse("three")]


async def test_an_event_waits_for_its_permit(upstream: Upstream) -> None:
    gate = upstream.gate()
    step = Step(events=EVENTS, gate=gate)
    upstream.script(step)
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        await client.until(b"data: one\n\n\r\n")
        assert (step.sent_events, upstream.finished) == (1, 0)
        gate.release()
        await client.until(b"data: two\n\n\r\n")
        await upstream.wait_until(lambda: gate.waiting == 1)
        assert step.sent_events == 2
        gate.release()
        await client.until(b"0\r\n\r\n")
    assert (step.sent_events, upstream.finished) == (3, 1)


async def test_a_held_answer_sends_its_head_after_the_permit(upstream: Upstream) -> None:
    hold = upstream.gate()
    upstream.script(Step(hold=hold))
    async with raw_client(upstream.port) as client:
        await client.ask()
        await upstream.wait_until(lambda: hold.waiting == 1)
        assert not upstream.requests[0].head_sent
        hold.release()
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_permit_is_not_lost_to_an_answer_that_was_cancelled() -> None:
    gate = Gate()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        gone = group.create_task(gate.passed())
        group.create_task(gate.passed())
        await asyncio.sleep(0)
        gone.cancel()
        gate.release()
    assert gone.cancelled()
    gate.open()
    await asyncio.wait_for(gate.passed(), 60)


async def test_a_slow_client_holds_a_big_stream_back(upstream: Upstream) -> None:
    size = 64 * 2**20
    upstream.script(Step(big=size))
    async with raw_client(upstream.port) as client:
        await client.ask(stream=True)
        await client.until(b"\r\n\r\n")
        await upstream.wait_until(lambda: upstream.bytes_sent > 0)
        sent = -1
        while sent != upstream.bytes_sent:  # until the kernel's buffers are full and nothing moves
            sent = upstream.bytes_sent
            for _ in range(50):
                await asyncio.sleep(0)
        assert sent < size
        received = 0
        while not upstream.finished:
            received += len(await client.arrived())
    assert upstream.bytes_sent == size
    assert received > size // 2


def test_big_frames_make_exactly_the_size() -> None:
    for size in (0, 7, BIG_FRAME, BIG_FRAME + 90, 3 * BIG_FRAME):
        assert sum(map(len, big_frames(size))) == size


async def test_paced_deltas_carry_the_time_they_were_sent(upstream: Upstream) -> None:
    upstream.script(Step(events=4, interval=0.01, stamp=True))
    async with httpx.AsyncClient() as client:
        before = time.monotonic_ns()
        response = await client.post(f"{upstream.url}/v1/messages", json={"stream": True})
    stamps = [int(stamp) for stamp in re.findall(r"@T(\d+)@", response.text)]
    assert len(stamps) == 4
    assert before < stamps[0]
    assert all(later > earlier for earlier, later in pairwise(stamps))
    assert (stamps[-1] - before) / 1e9 > 0.06  # three opening frames precede the deltas; one that is late is caught up


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_an_encoded_stream_can_be_read_event_by_event(upstream: Upstream, encoding: str) -> None:
    gate = upstream.gate()
    upstream.script(Step(events=EVENTS, gate=gate, encoding=encoding))
    seen = []
    async with (
        httpx.AsyncClient() as client,
        client.stream("POST", f"{upstream.url}/v1/messages", json={}) as response,
    ):
        async for text in response.aiter_text():
            if text:
                seen.append(text)
                gate.release()
    assert response.headers["content-encoding"] == encoding
    assert seen == [frame.decode() for frame in EVENTS]


def test_an_unknown_encoding_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="gzip, deflate, br or zstd"):
        encoder("lzw")


async def test_a_wait_that_is_in_vain_tells_the_state(upstream: Upstream) -> None:
    with pytest.raises(TimeoutError, match=r"0 requests, 0 finished"):
        await upstream.wait_requests(1, timeout=0.01)


async def test_a_bounded_record_keeps_the_latest() -> None:
    async with Upstream(keep=1) as upstream, raw_client(upstream.port) as client:
        for number in range(3):
            await client.ask(number=number)
            await client.until(b"}}")
        await upstream.wait_finished(3)
        assert [received.json()["number"] for received in upstream.requests] == [2]
