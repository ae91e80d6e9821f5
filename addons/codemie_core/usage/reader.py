"""What every reader of an API's answers can do."""

from __future__ import annotations

from typing import Protocol

from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer


class Reader(Protocol):
    """Reads one answer as it passes. Never raises, whatever it is fed."""

    def feed(self, event: SseEvent, at_ms: float) -> None:
        """One event of the stream, at so many milliseconds since the exchange began."""

    def whole(self, body: object) -> None:
        """A parsed JSON body, of an answer that is no stream."""

    def answer(self) -> Answer:
        """What has been seen so far."""
