import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from codemie_core.admin.body import TooLarge, TooSlow, read_body, with_body


def receiving(*messages: Message) -> Receive:
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return receive


def piece(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def says(length: int) -> Headers:
    return Headers({"content-length": str(length)})


async def test_it_is_read_whole() -> None:
    assert await read_body(says(4), receiving(piece(b"ab"), piece(b""), piece(b"cd", more=False))) == b"abcd"


async def test_one_that_says_it_is_too_large_is_not_read_at_all() -> None:
    with pytest.raises(TooLarge):
        await read_body(says(11), receiving(), most=10)


async def test_one_that_does_not_say_so_is_read_no_further() -> None:
    endless = receiving(*[piece(b"12345")] * 3)
    with pytest.raises(TooLarge):
        await read_body(Headers({"transfer-encoding": "chunked"}), endless, most=10)


async def test_one_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with pytest.raises(TooSlow):
        await read_body(says(4), receiving(piece(b"ab")), within=0.01)


async def test_a_client_that_leaves_ends_it() -> None:
    assert await read_body(says(4), receiving(piece(b"ab"), {"type": "http.disconnect"})) == b"ab"


async def test_the_application_gets_it_at_once_and_hears_then_of_a_client_that_leaves() -> None:
    receive = with_body(b"abcd", receiving({"type": "http.disconnect"}))
    assert await receive() == piece(b"abcd", more=False)
    assert await receive() == {"type": "http.disconnect"}
