"""Of several ways that a sign-in can come, the first one counts, and the others leave nothing behind."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from codemie_core.arrival import first_arrival
from codemie_core.callback import CallbackServer
from support.raw_client import raw_client


def read(text: str) -> str:
    if "token=" not in text:
        raise ValueError("it is no word")
    return text.partition("token=")[2]


def callback() -> CallbackServer[str]:
    return CallbackServer(read)


async def typed(*lines: str, ends: bool = True) -> AsyncGenerator[str, None]:
    for line in lines:
        yield line
    if not ends:
        await asyncio.Event().wait()


async def waiting(server: CallbackServer[str] | None, *lines: str, said: list[str], timeout: float = 60.0) -> str:
    pasted = typed(*lines) if lines else None
    return await first_arrival(server, "http://login.test", None, pasted, read, timeout, said.append)


async def test_a_pasted_line_counts_and_what_cannot_be_used_is_said() -> None:
    said: list[str] = []
    assert await waiting(None, "", "nonsense", "/?token=from-paste", said=said) == "from-paste"
    assert said == ["What you pasted cannot be used: it is no word. Try again."]


async def test_the_browser_may_still_come_when_the_terminal_is_gone() -> None:
    async with callback() as server:
        coming = asyncio.get_running_loop().create_task(waiting(server, "nonsense", said=[]))
        async with raw_client(server.port) as client:
            await client.send(f"GET /?token=from-browser HTTP/1.1\r\nhost: localhost:{server.port}\r\n\r\n".encode())
            assert await coming == "from-browser"
            server.settle()
            assert b"You are signed in" in await client.rest()


async def test_nobody_who_comes_in_time_is_a_timeout() -> None:
    async with callback() as server:
        with pytest.raises(TimeoutError):
            await first_arrival(server, "", None, typed(ends=False), read, 0.01, print)
    assert not any("first_arrival" in repr(task) or "_from_lines" in repr(task) for task in asyncio.all_tasks())


async def test_a_browser_that_cannot_be_opened_is_said() -> None:
    said: list[str] = []
    tried = asyncio.Event()

    async def opener(address: str) -> bool:
        tried.set()
        return address != "http://login.test"

    async def patient() -> AsyncGenerator[str, None]:
        await tried.wait()
        await asyncio.sleep(0)
        yield "/?token=late"

    assert await first_arrival(None, "http://login.test", opener, patient(), read, 60.0, said.append) == "late"
    assert said == ["No browser could be opened from here; open the address yourself."]
