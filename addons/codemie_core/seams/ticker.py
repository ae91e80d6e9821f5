"""One timer per client connection, ticking only while a stream waits.

mitmproxy's RequestWakeup cannot be cancelled, and a wakeup of its own per request would keep every finished request and
its body alive until the deadline has passed. So all streams of a client connection share this timer, which is no
stream itself and holds only those that wait right now.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from mitmproxy.proxy import commands, events, layer

if TYPE_CHECKING:
    from mitmproxy.proxy.layers.http import HttpLayer

LONGEST_TICK = 1.0
"""Seconds. Bounds how late a moved deadline is noticed, and how long a finished request keeps the timer going."""


class Tick(events.Event):
    """Tells a waiting stream that the time it asked for has come."""


class Waiting(Protocol):
    """What the ticker needs of a stream."""

    due: float
    """When to be told, on the monotonic clock."""

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]: ...


class Ticker(layer.Layer):
    """Holds the waiting streams of one client connection and wakes each when it is due."""

    def __init__(self, http_layer: HttpLayer) -> None:
        # No super().__init__: it would enter this into the layer stack, where mitmproxy looks for real protocols.
        self._http_layer = http_layer
        self._waiting: set[Waiting] = set()
        self._armed: dict[commands.RequestWakeup, float] = {}

    def __repr__(self) -> str:
        return f"<Ticker({len(self._waiting)} waiting, {len(self._armed)} armed)>"

    def watch(self, stream: Waiting) -> layer.CommandGenerator[None]:
        """Begin to wake `stream` when it is due; calling it again after moving `due` closer is right and cheap."""
        self._waiting.add(stream)
        if not any(when <= stream.due for when in self._armed.values()):
            yield from self._arm(stream.due)

    def forget(self, stream: Waiting) -> None:
        """The stream no longer waits."""
        self._waiting.discard(stream)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from self.handle_event(event)

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A wakeup of ours, or the completion of a command that a stream issued while we drove it."""
        assert isinstance(event, events.CommandCompleted)
        if isinstance(event, events.Wakeup) and event.command in self._armed:
            del self._armed[event.command]
            yield from self._tick()
        else:
            # HttpLayer takes us for the source of whatever a stream yields during a tick; it is the paused layer.
            paused = event.command.blocking
            assert isinstance(paused, layer.Layer)
            yield from paused.handle_event(event)

    def _tick(self) -> layer.CommandGenerator[None]:
        now = time.monotonic()
        for stream in [s for s in self._waiting if s.due <= now]:
            # Taken off first: a stream paused in a hook gets its tick late and must not be ticked at again and again.
            self._waiting.discard(stream)
            yield from stream.handle_event(Tick())
        soonest = min((s.due for s in self._waiting), default=math.inf)
        if soonest < math.inf and not any(when <= soonest for when in self._armed.values()):
            yield from self._arm(soonest)

    def _arm(self, due: float) -> layer.CommandGenerator[None]:
        now = time.monotonic()
        delay = min(max(due - now, 0.001), LONGEST_TICK)
        wakeup = commands.RequestWakeup(delay)
        self._armed[wakeup] = now + delay
        yield wakeup
        # HttpLayer has just noted the stream that is running as the one to be woken; it shall be us.
        self._http_layer.command_sources[wakeup] = self


def ticker_of(http_layer: HttpLayer) -> Ticker:
    """The ticker of this client connection. It lives on the layer itself: a registry would keep closed ones alive."""
    ticker: Ticker | None = vars(http_layer).get("codemie_ticker")
    if ticker is None:
        ticker = vars(http_layer)["codemie_ticker"] = Ticker(http_layer)
    return ticker
