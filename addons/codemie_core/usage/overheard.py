"""A turn of a WebSocket whose words are kept too."""

from __future__ import annotations

from codemie_core.store.payloads import Payload
from codemie_core.usage.answer import Answer
from codemie_core.usage.stream import StreamMeter


class Overheard:
    """Meters the messages of one turn. They are kept in the form in which they come over HTTP, as events."""

    def __init__(self, meter: StreamMeter, payload: Payload) -> None:
        self.payload = payload
        self._meter = meter

    def message(self, text: bytes) -> Answer | None:
        """As the meter has it."""
        self.payload.response(b"data: " + text + b"\n\n")
        return self._meter.message(text)

    def finish(self) -> Answer:
        """As the meter has it."""
        return self._meter.finish()
