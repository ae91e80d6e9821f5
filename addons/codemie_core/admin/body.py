"""Bodies of requests: read whole, up to a bound, before the application sees the request."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

MOST = 1024 * 1024
WITHIN = 30.0
"""Seconds for all of it."""


class TooLarge(Exception):
    """More than that."""


class TooSlow(Exception):
    """Longer than that."""


async def read_body(headers: Headers, receive: Receive, most: int = MOST, within: float = WITHIN) -> bytes:
    """All of it. TooLarge, also before the first byte when the head says so; TooSlow."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(within):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    break  # The client has left; the application finds out by itself.
                body += message.get("body", b"")
                if len(body) > most:
                    raise TooLarge
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise TooSlow from None
    return bytes(body)


def with_body(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body at once, then whatever comes after it."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
