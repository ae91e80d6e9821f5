"""A model turn that has ended, before anybody has looked into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemie_core.usage.answer import Answer
from codemie_core.usage.stream import StreamMeter

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange
    from codemie_core.store.payloads import Payload


@dataclass(frozen=True, slots=True)
class Read:
    """The meter of an answer that has been read already."""

    answer: Answer

    def finish(self) -> Answer:
        """It."""
        return self.answer


@dataclass(slots=True)
class Turn:
    """Times are milliseconds since the exchange began. Whoever puts it into the clerk's hands lets go of it."""

    exchange: Exchange
    """Ended, so nothing on it changes any more; of a WebSocket perhaps still open."""
    api: str
    meter: StreamMeter | Read
    """What has watched the answer pass."""
    request: bytes
    """The body as it came, or the message that asked for this turn of a WebSocket."""
    encoding: str = ""
    number: int = 0
    """Which turn of its WebSocket, from 1; 0 for HTTP."""
    began_ms: float = 0.0
    ended_ms: float = 0.0
    payload: Payload | None = None
    """What was said, where that is switched on."""

    @property
    def id(self) -> str:
        """The request id, with the number of the turn behind it where one request brought several."""
        return f"{self.exchange.request_id}.{self.number}" if self.number else self.exchange.request_id
