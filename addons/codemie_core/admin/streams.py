"""Server-sent events: what a subscription brings, as a response that goes on until either side ends it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import lru_cache

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from codemie_core.admin.broadcast import SLOW, Subscription
from codemie_core.admin.live_events import LiveEvent
from codemie_core.admin.log_ring import LogEntry

MEDIA_TYPE = "text/event-stream"
BEAT = 15.0
"""Seconds after which a comment says that the stream is still there."""
GATHER = 0.05
"""Seconds in which events gather: one write for all of them, in the loop that also streams."""
_BEAT = b": beat\n\n"
_DROPPED = b'event: dropped\ndata: {"reason": "You were too slow: some events are lost. Connect again."}\n\n'
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventStream[Item](Response):
    """`framed` makes the bytes of one item, b"" for one that is left out."""

    media_type = MEDIA_TYPE

    def __init__(
        self, subscription: Subscription[Item], hello: bytes, framed: Callable[[Item], bytes], beat: float = BEAT
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._subscription, self._hello, self._framed, self._beat = subscription, hello, framed, beat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say hello, then all that comes; the place is given back however it ends."""
        with self._subscription as subscription:
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(_left(receive, subscription))
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    await send(_body(self._hello))
                    await self._tell(subscription, send)
                    await send(_body(_DROPPED if subscription.ended == SLOW else b"", more=False))
                except OSError:
                    subscription.close()  # The client has left in the middle of it.
                finally:
                    leaving.cancel()

    async def _tell(self, subscription: Subscription[Item], send: Send) -> None:
        silent_at = time.monotonic() + self._beat
        while (items := await subscription.take(max(0.0, silent_at - time.monotonic()))) is not None:
            if items:
                await asyncio.sleep(GATHER)
                items += await subscription.take(0) or []
            said = b"".join(map(self._framed, items))
            if said or time.monotonic() >= silent_at:
                await send(_body(said or _BEAT))
                silent_at = time.monotonic() + self._beat


def live_stream(subscription: Subscription[LiveEvent]) -> EventStream[LiveEvent]:
    """What happens to requests."""
    return EventStream(subscription, b"event: connected\ndata: ok\n\n", _framed_event)


def log_stream(
    subscription: Subscription[LogEntry], wanted: Callable[[LogEntry], bool] = lambda _: True
) -> EventStream[LogEntry]:
    """What the proxy says, as far as it is `wanted`."""

    def framed(entry: LogEntry) -> bytes:
        return _data(entry) if wanted(entry) else b""

    return EventStream(subscription, _data({"connected": True}), framed)


@lru_cache(maxsize=256)
def _framed_event(event: LiveEvent) -> bytes:
    """The same for all who listen: made once."""
    return _data(event.as_json())


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _body(data: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _left[Item](receive: Receive, subscription: Subscription[Item]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    subscription.close()
