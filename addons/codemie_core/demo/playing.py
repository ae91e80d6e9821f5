"""Plays one answer on a wire, with the pace, the gates and the faults of its step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from codemie_core.demo.answers import Answer
from codemie_core.demo.encoding import encoder
from codemie_core.demo.frames import STAMP
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step


class Wire(Protocol):
    """One answer's way to its client; what it writes has left for the transport when it returns."""

    async def head(self, answer: Answer, step: Step, length: int | None) -> None:
        """Send status and headers; `length` is the body's when it is known."""
        ...

    async def body(self, data: bytes, promised: int) -> None:
        """Send a piece of body, of which `promised` bytes were to come."""
        ...

    async def end(self) -> None:
        """Send the proper end."""
        ...

    async def raw(self, data: bytes) -> None:
        """Send bytes past the protocol."""
        ...

    async def cut(self, how: Cut, code: int) -> None:
        """Break off; STALL is not for the wire."""
        ...


class _Broken(Exception):
    """The step's cut was reached."""


class Player:
    """Plays `answer`; `progress(events, body_bytes)` is called as things are sent."""

    def __init__(
        self, received: Received, step: Step, wire: Wire, progress: Callable[[Received, int, int], None]
    ) -> None:
        self._received, self._step, self._wire, self._progress = received, step, wire, progress
        self._sent = 0
        self._splits = sorted(step.split)

    async def play(self, answer: Answer) -> bool:
        """Return whether the answer came to its proper end."""
        step, wire = self._step, self._wire
        if step.hold:
            await step.hold.passed()
        if step.raw is not None:
            await wire.raw(step.raw)
            return await self._cut(step.cut or Cut.CLOSE)
        if step.cuts_before_head:
            return await self._cut(step.cut)
        try:
            if isinstance(answer.body, bytes):
                await self._whole(answer, answer.body)
            else:
                await wire.head(answer, step, None)
                self._received.head_sent = True
                await self._events(answer.body)
        except _Broken:
            return await self._cut(step.cut)
        if step.cut is not None:
            return await self._cut(step.cut)
        await wire.end()
        return True

    async def _whole(self, answer: Answer, body: bytes) -> None:
        codec = encoder(self._step.encoding if body else "")
        encoded = codec.event(body) + codec.end()
        await self._wire.head(answer, self._step, len(encoded))
        self._received.head_sent = True
        if self._step.cut and self._step.after_events == 0:
            raise _Broken
        await self._send(encoded)
        self._count_event()

    async def _events(self, frames: Iterator[bytes]) -> None:
        step, clock = self._step, asyncio.get_running_loop().time
        codec, began = encoder(step.encoding), clock()
        index = 0
        while True:
            if step.cut and step.after_events == index:
                raise _Broken
            frame = next(frames, None)
            if frame is None:
                break
            if index and step.gate:
                await step.gate.passed()
            if index and step.interval:
                # Counted from the beginning: a late event does not make all others late.
                await asyncio.sleep(began + index * step.interval - clock())
            if step.stamp:
                frame = frame.replace(STAMP, b"@T%d@" % time.monotonic_ns())
            await self._send(codec.event(frame))
            self._count_event()
            index += 1
        if tail := codec.end():
            await self._send(tail)

    async def _send(self, data: bytes) -> None:
        """Send encoded body up to the step's cut, in pieces that end where `split` says."""
        limit = self._step.after_bytes if self._step.cut else None
        allowed = data if limit is None else data[: max(0, limit - self._sent)]
        while self._splits and self._splits[0] < self._sent + len(allowed):
            piece_end = self._splits.pop(0) - self._sent
            if piece_end > 0:
                await self._piece(allowed[:piece_end], piece_end)
                allowed, data = allowed[piece_end:], data[piece_end:]
                await asyncio.sleep(0)
        if allowed:
            await self._piece(allowed, len(data))
        if limit is not None and self._sent >= limit:
            raise _Broken

    async def _piece(self, data: bytes, promised: int) -> None:
        await self._wire.body(data, promised)
        self._sent += len(data)
        self._progress(self._received, 0, len(data))

    def _count_event(self) -> None:
        self._step.sent_events += 1
        self._progress(self._received, 1, 0)

    async def _cut(self, how: Cut | None) -> bool:
        if how is None or how is Cut.STALL:
            await asyncio.get_running_loop().create_future()
        else:
            await self._wire.cut(how, self._step.h2_code)
        return False
