"""Spares the collector of cycles what will never be garbage.

Python now and then walks all objects that may form cycles, in one go and with the interpreter in its hand: with the
libraries of a whole proxy loaded that is 200,000 objects and 50 to 300 ms in which no event passes. What is there once
the proxy runs stays, so it is taken out of those walks; a full one takes a few milliseconds then.
"""

from __future__ import annotations

import asyncio
import gc

FIRST, SECOND = 1.0, 6.0
"""Seconds from the start: when nobody asks yet, and when the libraries that load in threads are there as well."""


class Heap:
    """`settle` once the loop runs, `leave` at its end."""

    def __init__(self) -> None:
        self._timers: list[asyncio.TimerHandle] = []

    def settle(self) -> None:
        """Take out what is there, soon."""
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(FIRST, _clean_and_freeze), loop.call_later(SECOND, gc.freeze)]

    def leave(self) -> None:
        """The proxy ends; another one may begin in this process."""
        for timer in self._timers:
            timer.cancel()


def _clean_and_freeze() -> None:
    gc.collect()
    gc.freeze()
