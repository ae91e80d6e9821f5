"""What finished flows hold in memory, all together: beyond a bound the oldest lose their bodies, not their rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from mitmproxy import http


class KeptBodies:
    """Counts flows that have ended. Flows that are gone, because the list was trimmed or cleared, count no more."""

    def __init__(self, let_go: Callable[[http.HTTPFlow], None]) -> None:
        self._let_go = let_go
        """Told of each flow that has lost its bodies."""
        self._kept: dict[int, tuple[weakref.ref[http.HTTPFlow], int]] = {}
        self.total = 0
        """Bytes."""

    def add(self, flow: http.HTTPFlow, most: int) -> None:
        """A flow has ended; afterwards all together hold no more than `most` bytes, marked flows and this one aside.

        0 is without a bound.
        """
        key = id(flow)
        self._forget(key)
        size = size_of(flow)
        self._kept[key] = (weakref.ref(flow, lambda _: self._forget(key)), size)
        self.total += size
        if most and self.total > most:
            self._shrink(most, key)

    def _shrink(self, most: int, newest: int) -> None:
        for key, (reference, _) in list(self._kept.items()):
            if self.total <= most:
                return
            flow = reference()
            if flow is None or key == newest or flow.marked:
                continue
            self._forget(key)
            empty(flow)
            self._let_go(flow)

    def _forget(self, key: int) -> None:
        _, size = self._kept.pop(key, (None, 0))
        self.total -= size


def size_of(flow: http.HTTPFlow) -> int:
    """Bytes of its bodies and messages."""
    bodies = [flow.request.raw_content, flow.response.raw_content if flow.response is not None else None]
    messages = flow.websocket.messages if flow.websocket is not None else []
    return sum(len(body) for body in bodies if body) + sum(len(message.content) for message in messages)


def empty(flow: http.HTTPFlow) -> None:
    """Let go of them. mitmproxy says "Content is missing" then, and does not replay such a flow."""
    flow.request.data.content = None
    if flow.response is not None:
        flow.response.data.content = None
    if flow.websocket is not None:
        flow.websocket.messages.clear()
