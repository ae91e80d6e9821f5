"""Waiting for what a sign-in brings, whichever way it comes first: by the browser's callback, or as a pasted line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from codemie_core.callback import CallbackServer


async def first_arrival[Brought](
    callback: CallbackServer[Brought] | None,
    address: str,
    opener: Callable[[str], Awaitable[bool]] | None,
    pasted: AsyncGenerator[str, None] | None,
    read: Callable[[str], Brought],
    timeout: float,
    say: Callable[[str], None],
) -> Brought:
    """What comes first. `opener` opens `address`; `read` makes something of a pasted line, or raises ValueError.

    TimeoutError after `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    opening = [loop.create_task(_open(opener, address, say))] if opener else []
    ways = [loop.create_task(callback.brought())] if callback else []
    if pasted:
        ways.append(loop.create_task(_from_lines(pasted, read, say)))
    try:
        done, _ = await asyncio.wait(ways, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError
        return done.pop().result()
    finally:
        for task in (*ways, *opening):
            task.cancel()
        await asyncio.gather(*ways, *opening, return_exceptions=True)


async def _open(opener: Callable[[str], Awaitable[bool]], address: str, say: Callable[[str], None]) -> None:
    if not await opener(address):
        say("No browser could be opened from here; open the address yourself.")


async def _from_lines[Brought](
    pasted: AsyncGenerator[str, None], read: Callable[[str], Brought], say: Callable[[str], None]
) -> Brought:
    async with aclosing(pasted):
        async for line in pasted:
            if line:
                try:
                    return read(line)
                except ValueError as problem:
                    say(f"What you pasted cannot be used: {problem}. Try again.")
    # The terminal is gone; the browser may still come.
    never: asyncio.Future[Brought] = asyncio.get_running_loop().create_future()
    return await never
