"""What happened, noted on the event loop for next to nothing; log_line.py makes lines of it.

Records hold an allow-list: ids, names, numbers, a few harmless headers. The Exchange they name has secrets of its own
(its credentials), which no line is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codemie_core.logs.body_sample import BodySample

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

type Fields = tuple[tuple[str, str], ...]
"""Headers that may be shown, by the name they get in the log."""


class Asked(NamedTuple):
    """A request is complete and about to go out."""

    at: float
    exchange: Exchange
    model: str
    url: str
    fields: Fields
    size: int
    body: BodySample | Encoded | str | None


class Encoded(NamedTuple):
    """A compressed body, decoded when its line is made."""

    data: bytes
    encoding: str
    limit: int


class Answered(NamedTuple):
    """The head of the response that the client gets."""

    at: float
    exchange: Exchange
    status: int
    fields: Fields


class Flowing(NamedTuple):
    """One chunk out of so many."""

    at: float
    exchange: Exchange
    chunks: int
    size: int


class Ended(NamedTuple):
    """An exchange is over."""

    at: float
    exchange: Exchange
    total_ms: float
    body: BodySample | str | None


class Said(NamedTuple):
    """Words of the proxy itself, from its own log or about this one."""

    at: float
    level: int
    source: str
    text: str


type Record = Asked | Answered | Flowing | Ended | Said
