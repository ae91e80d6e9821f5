"""Clients over WebSockets, as Codex speaks to OpenAI: many turns on a connection, large messages, some leave in one."""

import asyncio
import json
import random
from collections import Counter

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, Request, TextMessage

from soak.socket_words import LAST, WARM_UP, asked

CONNECTIONS = 6
STAY = 40
"""Turns on one connection; their messages together are some hundred kilobytes."""
LEAVES = 0.04
"""How often a client leaves in the middle of a turn."""
PATIENCE = 120.0


async def crowd(port: int, turns: int, dice: random.Random) -> Counter[str]:
    """So many turns, some at once. What the clients heard of each: "turn", "refused", "error", "cut" or "left"."""
    heard: Counter[str] = Counter()
    begun = 0

    async def work() -> None:
        nonlocal begun
        while begun < turns:
            stay = min(1 + dice.randrange(STAY), turns - begun)
            begun += stay
            tried = await visit(port, stay, dice, heard)
            begun -= stay - tried

    async with asyncio.TaskGroup() as group:
        for _ in range(min(CONNECTIONS, turns)):
            group.create_task(work())
    return heard


async def visit(port: int, stay: int, dice: random.Random, heard: Counter[str]) -> int:
    """One connection; how many turns were tried on it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    socket = _Socket(reader, writer)
    try:
        async with asyncio.timeout(PATIENCE):
            if ended := await socket.open(dice):
                heard[ended] += 1
                return 1
            await socket.turn(WARM_UP)
        for tried in range(1, stay + 1):
            # One that the other side has closed is met by the turn below.
            if dice.random() < LEAVES and socket.is_open:
                socket.say(asked(dice))
                await asyncio.sleep(dice.random() * 0.02)
                writer.transport.abort()
                heard["left"] += 1
                return tried
            async with asyncio.timeout(PATIENCE):
                found = await socket.turn(asked(dice))
            heard[found] += 1
            if found != "turn":
                return tried
        socket.close()
        return stay
    finally:
        writer.close()


class _Socket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = WSConnection(ConnectionType.CLIENT)

    async def open(self, dice: random.Random) -> str:
        """The handshake; "" when it succeeds."""
        session = f"0f0f0f0f-0000-4000-8000-{dice.randrange(500):012}"
        headers = [
            (b"authorization", b"Bearer not-a-key"),
            (b"session-id", session.encode()),
            (b"originator", b"codex_exec"),
            (b"user-agent", b"codex_exec/0.169.0"),
        ]
        request = Request(host="127.0.0.1", target="/v1/responses", extra_headers=headers)
        self._writer.write(self._protocol.send(request))
        while data := await self._reader.read(65536):
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, AcceptConnection):
                    return ""
                if isinstance(event, RejectConnection):
                    return "refused"
        return "cut"

    @property
    def is_open(self) -> bool:
        """May one still speak?"""
        return self._protocol.state is ConnectionState.OPEN

    def say(self, text: str) -> None:
        """One message; only while it is open."""
        self._writer.write(self._protocol.send(TextMessage(data=text)))

    async def turn(self, text: str) -> str:
        """Say it and hear the answer to its end. "closed" when the other side has closed it in good order."""
        if not self.is_open:
            return "closed"
        self.say(text)
        heard, ended = "", ""
        while not ended:
            data = await self._reader.read(65536)
            if not data:
                return "cut"
            self._protocol.receive_data(data)
            # All of them: a close frame behind the last message is met by the next turn.
            for event in self._protocol.events():
                if isinstance(event, CloseConnection):
                    ended = ended or "closed"
                elif isinstance(event, TextMessage):
                    heard += event.data
                    if event.message_finished:
                        kind = json.loads(heard)["type"]
                        ended = {LAST: "turn", "error": "error"}.get(kind, "")
                        heard = ""
        return ended

    def close(self) -> None:
        """As one leaves who has got all answers."""
        if self.is_open:
            self._writer.write(self._protocol.send(CloseConnection(code=1000)))
