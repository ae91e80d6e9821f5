"""The load generator, in a process of its own: `python -m bench.load PORT KIND ...` prints one line of JSON.

small REQUESTS CONNECTIONS      keep-alive POSTs of 8 KB
talk REQUESTS CONNECTIONS TURNS the same of conversations, each of so many turns (0: requests that stand alone)
moved REQUESTS                  one connection, every second request is refused to the first account
large REQUESTS KILOBYTES        one connection, with bodies as agents send them late in a conversation
sse STREAMS EVENTS MILLISECONDS one new connection per stream
bulk MEGABYTES                  one stream as fast as it goes
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence

from bench.wire import CONVERSATIONS, STAMP, WISH, MessageReader, conversation

_BODY = json.dumps(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64,
        "stream": True,
        "messages": [{"role": "user", "content": "word " * 1600}],
    }
).encode()


def long_body(kilobytes: int) -> bytes:
    """A conversation of that size: words, tools called, what they brought."""
    body = json.loads(_BODY)
    piece = 'some line of a file that was read, with a "quote" and a tab\\t in it\n' * 50
    for number in range(kilobytes * 1024 // len(json.dumps(piece))):
        tool = {"type": "tool_use", "id": f"toolu_{number}", "name": "Read", "input": {"file_path": f"/a/{number}.py"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": piece}
        body["messages"] += [{"role": "assistant", "content": [tool]}, {"role": "user", "content": [result]}]
    return json.dumps(body).encode()


def request(wish: str, stream: bool, session: str = "", body: bytes = _BODY) -> bytes:
    """A call to the Messages API; with a `session` it is Claude Code's."""
    said = f"x-claude-code-session-id: {session}\r\n" if session else ""
    body = body if stream else body.replace(b'"stream": true', b'"stream": false')
    return (
        b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"user-agent: bench/1.0\r\nanthropic-version: 2023-06-01\r\n"
        b"x-api-key: not-a-key\r\n%b%b: %b\r\ncontent-length: %d\r\n\r\n"
        % (said.encode(), WISH.encode(), wish.encode(), len(body))
        + body
    )


class Client(asyncio.Protocol):
    """One connection that sends its requests, one after the other."""

    def __init__(self, *messages: bytes) -> None:
        self._messages = iter(messages)
        self._left = len(messages)
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
        self.transport.write(next(self._messages))

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
    message = request("small", stream=False)
    return await together(port, [[message] * (requests // connections)] * connections)


async def large(port: int, requests: int, kilobytes: int) -> dict[str, float]:
    """As `small`."""
    message = request("small", stream=False, session=conversation(1), body=long_body(kilobytes))
    return await together(port, [[message] * requests])


async def talk(port: int, requests: int, connections: int, turns: int) -> dict[str, float]:
    """As `small`. Conversations are any of those that a large pool knows."""

    def messages() -> list[bytes]:
        count = requests // connections
        if not turns:
            return [request("talk", stream=False)] * count
        known = (conversation(random.randrange(CONVERSATIONS)) for _ in range(0, count, turns))
        return [message for one in known for message in [request("talk", stream=False, session=one)] * turns][:count]

    return await together(port, [messages() for _ in range(connections)])


async def moved(port: int, requests: int) -> dict[str, float]:
    """Milliseconds. `beyond`: how much longer requests take that meet a refusal first, the failed attempt included."""
    pair = [request("talk", stream=False), request("moved", stream=False)]
    client = await connect(port, Client(*pair * (requests // 2)))
    await client.done
    plain, twice = (statistics.median(client.latencies[first::2]) * 1000 for first in (0, 1))
    return {"units": len(client.latencies), "plain": plain, "moved": twice, "beyond": twice - plain}


async def together(port: int, work: Sequence[Sequence[bytes]]) -> dict[str, float]:
    """Every list of requests on a connection of its own, all at once."""
    began = time.monotonic()
    clients = [await connect(port, Client(*messages)) for messages in work]
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
    kinds = {"small": small, "large": large, "talk": talk, "moved": moved, "sse": sse, "bulk": bulk}
    print(json.dumps(asyncio.run(kinds[kind](int(port), *map(int, numbers)))))


if __name__ == "__main__":
    main()
