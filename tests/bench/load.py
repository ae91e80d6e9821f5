"""The load generator, in a process of its own: `python -m bench.load PORT KIND ...` prints one line of JSON.

small REQUESTS CONNECTIONS      keep-alive POSTs of 8 KB
sse STREAMS EVENTS MILLISECONDS one new connection per stream
bulk MEGABYTES                  one stream as fast as it goes
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine

from bench.wire import STAMP, WISH, MessageReader

_BODY = json.dumps(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64,
        "stream": True,
        "messages": [{"role": "user", "content": "word " * 1600}],
    }
).encode()


def request(wish: str, stream: bool) -> bytes:
    """A call to the Messages API."""
    body = _BODY if stream else _BODY.replace(b'"stream": true', b'"stream": false')
    return (
        b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"user-agent: bench/1.0\r\nanthropic-version: 2023-06-01\r\n"
        b"x-api-key: not-a-key\r\n%b: %b\r\ncontent-length: %d\r\n\r\n"
        % (WISH.encode(), wish.encode(), len(body))
        + body
    )


class Client(asyncio.Protocol):
    """One connection that sends its request `repeat` times, one after the other."""

    def __init__(self, message: bytes, repeat: int = 1) -> None:
        self._message = message
        self._left = repeat
        self._reader = MessageReader()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if not self._reader.feed(data):
            return
        self.latencies.append(time.monotonic() - self.sent_at)
        if not self._reader.head.startswith(b"HTTP/1.1 200"):
            self._end(RuntimeError(f"answered {self._reader.head[:60]!r}"))
        elif self._left:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RuntimeError("the proxy closed the connection"))

    def _send(self) -> None:
        self._left -= 1
        self.sent_at = time.monotonic()
        self.transport.write(self._message)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error:
                self.done.set_exception(error)
            else:
                self.done.set_result(None)
            self.transport.close()


class EventClient(Client):
    """Notes when each event arrives and how old it is then."""

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.first_event: float | None = None
        self.delays: list[float] = []

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        stamps = STAMP.findall(data)
        if stamps and self.first_event is None:
            self.first_event = now / 1e9 - self.sent_at
        self.delays.extend((now - int(stamp)) / 1e6 for stamp in stamps)
        super().data_received(data)


async def connect[C: Client](port: int, client: C) -> C:
    await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
    return client


async def small(port: int, requests: int, connections: int) -> dict[str, float]:
    """Milliseconds; `rate` is requests per second."""
    began = time.monotonic()
    message = request("small", stream=False)
    clients = [await connect(port, Client(message, requests // connections)) for _ in range(connections)]
    await asyncio.gather(*(client.done for client in clients))
    latencies = [latency * 1000 for client in clients for latency in client.latencies]
    return {
        "units": len(latencies),
        "rate": len(latencies) / (time.monotonic() - began),
        "p50": statistics.median(latencies),
        "p99": statistics.quantiles(latencies, n=100)[98],
    }


async def sse(port: int, streams: int, events: int, pause_ms: int) -> dict[str, float]:
    """Milliseconds. Streams begin spread over one second, so that first events do not queue behind each other."""
    message = request(f"sse {events} {pause_ms}", stream=True)
    clients = []
    for _ in range(streams):
        clients.append(await connect(port, EventClient(message)))
        await asyncio.sleep(1 / streams)
    await asyncio.gather(*(client.done for client in clients))
    delays = [delay for client in clients for delay in client.delays]
    if len(delays) != streams * events:
        raise RuntimeError(f"{len(delays)} of {streams * events} events arrived")
    first = [client.first_event * 1000 for client in clients if client.first_event is not None]
    return {
        "units": len(delays),
        "first_p50": statistics.median(first),
        "first_added_p50": statistics.median(first) - pause_ms,
        "p50": statistics.median(delays),
        "p99": statistics.quantiles(delays, n=100)[98],
    }


async def bulk(port: int, megabytes: int) -> dict[str, float]:
    """`rate` is MB per second."""
    client = await connect(port, Client(request(f"bulk {megabytes}", stream=True)))
    await client.done
    return {"units": megabytes, "rate": megabytes / client.latencies[0]}


def main() -> None:
    kind, port, *numbers = sys.argv[1:]
    kinds: dict[str, Callable[..., Coroutine[None, None, dict[str, float]]]]
    kinds = {"small": small, "sse": sse, "bulk": bulk}
    print(json.dumps(asyncio.run(kinds[kind](int(port), *map(int, numbers)))))


if __name__ == "__main__":
    main()
