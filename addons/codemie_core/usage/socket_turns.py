"""The turns of one WebSocket: each begins with what the client asks and ends with the model's last event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from codemie_core.usage.answer import Answer

_ASKS = b'"response.create"'
_TYPE_WITHIN = 200
"""Bytes at its beginning in which a message says what it is."""


class MessageMeter(Protocol):
    """Reads the messages of one turn."""

    def message(self, text: bytes) -> Answer | None:
        """The answer, once this message has ended it."""

    def finish(self) -> Answer:
        """What was seen so far."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that is over. `number` counts from 1, `began_ms` since the exchange began."""

    number: int
    asked: bytes
    """The message that asked for it."""
    answer: Answer
    began_ms: float


class SocketTurns:
    """Feed every message of one WebSocket. `make_meter` gives a fresh meter; `clock_ms` is the exchange's."""

    def __init__(self, api: str, make_meter: Callable[[], MessageMeter], clock_ms: Callable[[], float]) -> None:
        self.api = api
        self._make_meter, self._clock_ms = make_meter, clock_ms
        self._number = 0
        self._asked = b""
        self._began = 0.0
        self._meter: MessageMeter | None = None

    def from_client(self, content: bytes) -> Ended | None:
        """The turn before, where the client asks for the next one before it has ended."""
        if _ASKS not in content[:_TYPE_WITHIN] and _ASKS not in content[-_TYPE_WITHIN:]:
            return None
        cut = self.cut()
        self._number += 1
        self._asked, self._began, self._meter = content, self._clock_ms(), self._make_meter()
        return cut

    def from_server(self, content: bytes) -> Ended | None:
        """The turn that this message ends."""
        answer = self._meter.message(content) if self._meter is not None else None
        return self._end(answer) if answer is not None else None

    def cut(self) -> Ended | None:
        """The turn that is open, ended before its time."""
        return self._end(self._meter.finish()) if self._meter is not None else None

    def _end(self, answer: Answer) -> Ended:
        ended = Ended(self._number, self._asked, answer, self._began)
        self._asked, self._meter = b"", None
        return ended
