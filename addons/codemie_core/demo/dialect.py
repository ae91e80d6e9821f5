"""What a model API's wire shape consists of, and what a request asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

REASONS: Mapping[int, str] = {
    400: "The request is malformed",
    401: "The credential is not valid",
    403: "Access is not allowed",
    404: "Not found",
    413: "The request is too large",
    429: "Rate limit reached",
    500: "Internal server error",
    502: "Bad gateway",
    503: "The service is unavailable",
    504: "The request timed out",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """The parts of a request that its answer depends on; `serial` makes the answer's ids."""

    serial: int
    model: str
    stream: bool
    include_usage: bool = False
    input_tokens: int = 25


class Dialect(Protocol):
    """The answers of one API."""

    def stream(self, ask: Ask, deltas: Iterator[str]) -> Iterator[bytes]:
        """Yield the SSE frames of an answer, each made when it is asked for."""
        ...

    def whole(self, ask: Ask, text: str) -> Mapping[str, Any]:
        """Return the answer to a request that does not stream."""
        ...

    def error(self, status: int) -> Mapping[str, Any]:
        """Return the JSON body of an error response."""
        ...

    def error_event(self) -> bytes:
        """Return the frame by which the API ends a stream that it has begun with a 200."""
        ...


def reason(status: int) -> str:
    """Say in a few words what a status means."""
    return REASONS.get(status, f"Status {status}")
