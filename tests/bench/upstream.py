"""A cheap upstream in a process of its own: `python -m bench.upstream` prints its port and serves until killed."""

import asyncio
import json
import time
from collections.abc import Callable

from bench.wire import CHUNK, FIRST_KEY, WISH, MessageReader

_TEXT = "A few words of an answer, as long as a delta of a model usually is."
_USAGE = {"input_tokens": 12, "cache_read_input_tokens": 4_096, "cache_creation_input_tokens": 512, "output_tokens": 1}
_MESSAGE = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "usage": _USAGE}
_TEXT_PART = {"type": "text", "text": "x" * 1680}
_SMALL = json.dumps({**_MESSAGE, "stop_reason": "end_turn", "content": [_TEXT_PART]}).encode()
_SMALL_RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_SMALL) + _SMALL
)
# What Anthropic says of a subscription's windows with every answer, its resets where no run will see them.
_LIMITS = b"".join(
    b"anthropic-ratelimit-unified-%b\r\n" % field
    for field in (
        *(b"status: allowed", b"representative-claim: five_hour", b"fallback-percentage: 0.5", b"reset: %(at)d"),
        *(b"5h-status: allowed", b"5h-reset: %(at)d", b"5h-utilization: %(used).2f"),
        *(b"7d-status: allowed", b"7d-reset: %(at)d", b"7d-utilization: 0.31"),
        *(b"overage-status: rejected", b"overage-disabled-reason: org_level_disabled"),
    )
)
_TALK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%(limits)bcontent-length: %(length)d\r\n\r\n"
_ERROR = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "Too many requests at once."}}'
# Benches nothing: the next request meets it again.
_MOVED = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nx-should-retry: true\r\n"
    b"content-length: %d\r\n\r\n" % len(_ERROR) + _ERROR
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


def event(index: int) -> bytes:
    """One event as an HTTP chunk, with the time of its sending in it."""
    payload = {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": "text_delta", "text": f"{_TEXT} @T{time.monotonic_ns()}@"},
    }
    data = b"event: content_block_delta\ndata: " + json.dumps(payload).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _frame(kind: str, **fields: object) -> bytes:
    data = b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())
    return b"%x\r\n%b\r\n" % (len(data), data)


_OPENING = _frame("message_start", message={**_MESSAGE, "content": [], "stop_reason": None})
_CLOSING = _frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 400}) + _frame(
    "message_stop"
)
"""What a stream says around its text: who answers, and what it used."""


def talk() -> bytes:
    """The small answer with limits in its head; the share that is used is another one every time."""
    now = time.time()
    limits = _LIMITS % {b"at": now + 3600, b"used": now % 1}
    return _TALK_HEAD % {b"limits": limits, b"length": len(_SMALL)} + _SMALL


def bulk_chunk() -> bytes:
    """16 KiB of events as one HTTP chunk."""
    line = b'event: content_block_delta\ndata: {"type": "content_block_delta", "text": "' + b"x" * 900 + b'"}\n\n'
    data = line * (CHUNK // len(line))
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._reader = MessageReader()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._reader.feed(data):
            return
        wish, *numbers = self._reader.value(WISH).split()
        self.answer(wish, numbers)

    def answer(self, wish: str, numbers: list[str]) -> None:
        """Give the request what it wants."""
        if wish == "small":
            self._transport.write(_SMALL_RESPONSE)
        elif wish == "moved" and self._reader.value("x-api-key") == FIRST_KEY:
            self._transport.write(_MOVED)
        elif wish in ("talk", "moved"):
            self._transport.write(talk())
        elif wish == "sse":
            self._transport.write(_STREAM_HEAD)
            self._send_events(0, int(numbers[0]), int(numbers[1]) / 1000, asyncio.get_running_loop().time())
        else:
            self._task = asyncio.get_running_loop().create_task(self._send_bulk(int(numbers[0])))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self._task:
            self._task.cancel()

    def _send_events(self, index: int, count: int, pause: float, began: float) -> None:
        if index:
            self._transport.write(_OPENING + event(index) if index == 1 else event(index))
        if index == count:
            self._transport.write(_CLOSING + _LAST_CHUNK)
            return
        # Against the begin, not the last event, so that delays do not add up.
        following = index + 1
        asyncio.get_running_loop().call_at(began + following * pause, self._send_events, following, count, pause, began)

    async def _send_bulk(self, megabytes: int) -> None:
        chunk = bulk_chunk()
        self._transport.write(_STREAM_HEAD)
        for _ in range(megabytes * 1024 * 1024 // len(chunk)):
            await self._writable.wait()
            self._transport.write(chunk)
        self._transport.write(_LAST_CHUNK)


async def serve(connection: Callable[[], asyncio.Protocol]) -> None:
    """On a free loopback port, which is printed."""
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Upstream))
