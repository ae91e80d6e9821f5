"""Server-sent events, driven as a web server drives them: every byte of it, and how it ends."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from codemie_core.admin import live_events, streams
from codemie_core.admin.broadcast import MOST_WAITING, Broadcast
from codemie_core.admin.live_events import LiveEvent
from codemie_core.admin.log_ring import LogEntry
from codemie_core.admin.streams import EventStream, live_stream, log_stream
from support.records import new_record

pytestmark = pytest.mark.anyio

EVENT = live_events.recorded(new_record(id="one"))


class Client:
    """Reads what is sent, as fast as a test lets it, and leaves when told."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.came = asyncio.Event()
        self.reads, self.left = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.broken = False

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if self.broken:
            raise OSError("gone")
        self.sent.append(message)
        self.came.set()

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    async def until(self, words: str) -> None:
        async with asyncio.timeout(60):
            while words not in self.text:
                await self.came.wait()
                self.came.clear()


@pytest.fixture
def speaker() -> Broadcast[LiveEvent]:
    return Broadcast()


async def serve(response: EventStream[Any], client: Client) -> None:
    async with asyncio.timeout(60):
        await response({"type": "http"}, client.receive, client.send)


async def test_the_stream_says_hello_at_once_and_events_as_they_come(speaker: Broadcast[LiveEvent]) -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(live_stream(speaker.subscribe()), client))
        await client.until("event: connected\ndata: ok\n\n")
        speaker.publish(EVENT)
        await client.until('"id":"one"')
        client.left.set()
    head = client.sent[0]
    assert head["status"] == 200
    assert dict(head["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
    }
    (data,) = [line for line in client.text.split("\n\n") if line.startswith("data: {")]
    assert json.loads(data.removeprefix("data: ")) == EVENT.as_json()
    assert speaker.subscribers == 0


async def test_a_silent_stream_has_a_heartbeat(speaker: Broadcast[LiveEvent]) -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(EventStream(speaker.subscribe(), b"", lambda _: b"", beat=0.01), client))
        await client.until(": beat\n\n: beat\n\n")
        client.left.set()


async def test_a_stream_of_which_all_is_left_out_has_a_heartbeat_too() -> None:
    speaker: Broadcast[LogEntry] = Broadcast()
    client = Client()
    stream = log_stream(speaker.subscribe(), lambda entry: entry["level"] == "ERROR")
    stream._beat = 0.2
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(stream, client))
        await client.until('data: {"connected":true}\n\n')
        while ": beat" not in client.text:
            speaker.publish(LogEntry(ts=1, level="INFO", msg="left out", logger="x"))
            await asyncio.sleep(0.01)
        speaker.publish(LogEntry(ts=1, level="ERROR", msg="shown", logger="x"))
        await client.until('data: {"ts":1,"level":"ERROR","msg":"shown","logger":"x"}\n\n')
        client.left.set()
    assert "left out" not in client.text


async def test_who_does_not_read_is_let_go_and_told_so_at_the_end(speaker: Broadcast[LiveEvent]) -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(live_stream(speaker.subscribe()), client))
        await client.until("connected")
        client.reads.clear()
        for _ in range(MOST_WAITING + 1):
            speaker.publish(EVENT)
        assert speaker.subscribers == 0
        client.reads.set()
    assert client.text.endswith("event: dropped\n" + streams._DROPPED.decode().split("\n", 1)[1])
    assert client.sent[-1]["more_body"] is False


async def test_the_end_of_the_proxy_ends_the_stream_in_good_order(speaker: Broadcast[LiveEvent]) -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(live_stream(speaker.subscribe()), client))
        await client.until("connected")
        speaker.publish(EVENT)
        speaker.close()
    assert '"id":"one"' in client.text
    assert "dropped" not in client.text
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_client_that_breaks_off_gives_its_place_back(speaker: Broadcast[LiveEvent]) -> None:
    client = Client()
    client.broken = True
    await serve(live_stream(speaker.subscribe()), client)
    assert speaker.subscribers == 0


async def test_an_event_is_framed_once_for_all_who_listen(
    speaker: Broadcast[LiveEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    framed = []
    plain = LiveEvent.as_json

    def counting(event: LiveEvent) -> dict[str, Any]:
        framed.append(event)
        return plain(event)

    monkeypatch.setattr(LiveEvent, "as_json", counting)
    clients = [Client() for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(serve(live_stream(speaker.subscribe()), client))
        speaker.publish(live_events.recorded(new_record(id="shared")))
        for client in clients:
            await client.until('"id":"shared"')
            client.left.set()
    assert len(framed) == 1
