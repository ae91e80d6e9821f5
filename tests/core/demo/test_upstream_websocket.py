"""The Responses API over a WebSocket."""

import json

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Request, TextMessage

from codemie_core.demo.frames import TEXT
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support.raw_client import RawClient, raw_client


class Session:
    """A client's end of the WebSocket."""

    def __init__(self, client: RawClient) -> None:
        self.client, self.protocol = client, WSConnection(ConnectionType.CLIENT)

    async def open(self) -> Event:
        await self.client.send(self.protocol.send(Request(host="h", target="/v1/responses")))
        return await self.event()

    async def event(self) -> Event:
        while not (event := next(self.protocol.events(), None)):
            self.protocol.receive_data((await self.client.arrived()) or None)
        return event

    async def say(self, **message: object) -> None:
        await self.client.send(self.protocol.send(TextMessage(data=json.dumps(message))))

    async def turn(self) -> list[dict[str, object]]:
        """The messages up to the end of one response."""
        messages: list[dict[str, object]] = []
        while not messages or messages[-1]["type"] not in {"response.completed", "error"}:
            messages.append(await self.message())
        return messages

    async def message(self) -> dict[str, object]:
        event = await self.event()
        assert isinstance(event, Message)
        return json.loads(event.data)


async def test_each_response_create_is_answered_with_response_events(upstream: Upstream) -> None:
    async with raw_client(upstream.port) as client:
        session = Session(client)
        assert isinstance(await session.open(), AcceptConnection)
        await session.say(type="response.create", model="m", generate=False)
        warm_up = await session.turn()
        await session.say(type="response.create", model="m")
        turn = await session.turn()
        await client.send(session.protocol.send(CloseConnection(code=1000)))
        assert isinstance(await session.event(), CloseConnection)
        await upstream.wait_finished(1)
    assert not [message for message in warm_up if message["type"] == "response.output_text.delta"]
    said = [message["delta"] for message in turn if message["type"] == "response.output_text.delta"]
    assert "".join(map(str, said)) == TEXT
    assert [json.loads(text)["type"] for text in upstream.requests[0].messages] == ["response.create"] * 2


async def test_the_handshake_can_be_refused(upstream: Upstream) -> None:
    upstream.script(Step(status=426))
    async with raw_client(upstream.port) as client:
        await client.send(WSConnection(ConnectionType.CLIENT).send(Request(host="h", target="/v1/responses")))
        assert (await client.until(b"}}")).startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize(("cut", "cancelled"), [(Cut.CLOSE, False), (Cut.STALL, True)])
async def test_a_turn_can_break_off(upstream: Upstream, cut: Cut, cancelled: bool) -> None:
    upstream.script(Step(cut=cut, after_events=2))
    async with raw_client(upstream.port) as client:
        session = Session(client)
        await session.open()
        await session.say(type="response.create", model="m")
        kinds = [(await session.message())["type"] for _ in range(2)]
        if not cancelled:
            assert await client.rest() == b""
    assert kinds == ["response.created", "response.in_progress"]
    await upstream.wait_connections_closed()
    assert bool(upstream.cancelled) is cancelled


async def test_a_turn_can_fail_with_an_error_that_names_its_status(upstream: Upstream) -> None:
    upstream.script(Step(error_event=True))
    async with raw_client(upstream.port) as client:
        session = Session(client)
        await session.open()
        await session.say(type="response.create", model="m")
        [message] = await session.turn()
        assert (message["type"], message["status"]) == ("error", 503)
        assert "server_is_overloaded" in str(message["error"])
