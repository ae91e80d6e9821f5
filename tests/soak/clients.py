"""Clients of all manners: they stream, ask small things, keep connections, leave in the middle."""

import asyncio
import random
from collections import Counter

from bench.load import request
from bench.wire import MessageReader, conversation

CONNECTIONS = 12
STAY = 25
"""Requests on one connection."""
CONVERSATIONS = 500
LEAVES = 0.02
"""How often a client does not wait for its answer."""
PATIENCE = 120.0


async def crowd(port: int, requests: int, dice: random.Random) -> Counter[str]:
    """So many requests, some at once. What the clients heard: a status, "cut" or "left"."""
    heard: Counter[str] = Counter()

    async def work() -> None:
        while (left := requests - heard.total() - asked[0]) > 0:
            stay = min(STAY, left)
            asked[0] += stay
            await visit(port, stay, dice, heard)
            asked[0] -= stay

    asked = [0]
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())
    return heard


async def passers_by(port: int, count: int, dice: random.Random) -> None:
    """They connect, some begin to say something, and are gone."""
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        if dice.random() < 0.5:
            whole = request("talk", False)
            writer.write(whole[: dice.randrange(len(whole))])
        await asyncio.sleep(dice.random() * 0.01)
        writer.transport.abort()


async def visit(port: int, stay: int, dice: random.Random, heard: Counter[str]) -> None:
    """One connection for up to so many requests; ends early when either side closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    session = conversation(dice.randrange(CONVERSATIONS)) if dice.random() < 0.8 else ""
    try:
        for _ in range(stay):
            stream = dice.random() < 0.5
            writer.write(request("sse" if stream else "talk", stream, session))
            if dice.random() < LEAVES:
                await asyncio.sleep(dice.random() * 0.02)
                writer.transport.abort()
                heard["left"] += 1
                return
            async with asyncio.timeout(PATIENCE):
                found = await _answer(reader)
            heard[found] += 1
            if found == "cut":
                return
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    message = MessageReader()
    while data := await reader.read(65536):
        if message.feed(data):
            return message.head.split(b" ", 2)[1].decode()
    return "cut"
