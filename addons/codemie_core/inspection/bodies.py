"""The JSON values that the body of an answer holds: events of a stream, elements of an array, or one whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codemie_core.decoding import stream_decoder
from codemie_core.json_text import loads
from codemie_core.sse import SseParser
from codemie_core.usage.apis import GEMINI
from codemie_core.usage.json_parts import JsonParts
from codemie_core.usage.json_values import table

MOST = 8 * 1024 * 1024
"""Decoded bytes of a body. JSON of this size is read in a fifth of a second."""
MOST_EVENTS = 1024 * 1024
"""Bytes of events: reading is done between the events of other streams, and these take a fifth of a second, too."""
_END = 64 * 1024
"""The end has the stop reason and the tokens."""
_LARGEST_EVENT = 1024 * 1024
_EVENT_BEGINNINGS = b"edir:\xef"


@dataclass(frozen=True, slots=True)
class Body:
    """One of the two."""

    events: tuple[tuple[str, Mapping[str, object]], ...] = ()
    """Their names, and what they hold."""
    whole: Mapping[str, object] | None = None


def decoded(raw: bytes, content_encoding: str, most: int = MOST) -> bytes | None:
    """As far as it goes, for a body that was cut too; None for an encoding nobody knows."""
    decoder = stream_decoder(content_encoding, most)
    return None if decoder is None else decoder.feed(raw)[:most]


def shortened(data: bytes) -> bytes:
    """Of a long stream its beginning and its end, with an event boundary between; any other body as it is."""
    if len(data) <= MOST_EVENTS or data.lstrip()[:1] not in _EVENT_BEGINNINGS:
        return data
    return data[: MOST_EVENTS - _END] + b"\n\n" + data[-_END:]


def read_body(api: str, data: bytes) -> Body:
    """What it holds. The first byte that is no space tells what kind of body it is."""
    begin = data.lstrip()
    if begin[:1] == b"[" and api == GEMINI:
        return Body(tuple(("message", table(loads(part))) for part in JsonParts(_LARGEST_EVENT).feed(begin)))
    if begin[:1] == b"{":
        return Body(whole=table(loads(begin)))
    if begin[:1] and begin[:1] in _EVENT_BEGINNINGS:
        found = SseParser(_LARGEST_EVENT).feed(begin)
        return Body(tuple((event.event, table(loads(event.data))) for event in found))
    return Body()
