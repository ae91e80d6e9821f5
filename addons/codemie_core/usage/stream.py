"""Watches one answer as its bytes pass: streams event by event, other bodies as a whole at the end."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from codemie_core.json_text import loads
from codemie_core.sse import SseEvent, SseParser
from codemie_core.usage.answer import Answer
from codemie_core.usage.apis import GEMINI
from codemie_core.usage.json_parts import JsonParts
from codemie_core.usage.reader import Reader
from codemie_core.usage.readers import reader_for
from codemie_core.usage.responses import LAST_EVENTS, event_type

LARGEST_EVENT = 1024 * 1024
LARGEST_BODY = 4 * 1024 * 1024
"""Bytes. What is larger is not read: its numbers stay unknown, and the answer is not complete."""

BUNDLE = 64
"""Chunks that are read at once: between mitmproxy's own work, reading one costs twice as much."""
BUNDLE_BYTES = 64 * 1024

_TYPE_WITHIN = 200
"""Characters in which a message says what it is."""
_EVENT_BEGINNINGS = b"edir:\xef"
"""Of the fields event, data, id and retry, of a comment, and of a byte order mark."""


class _Form(Enum):
    UNKNOWN = auto()
    EVENTS = auto()
    PARTS = auto()
    WHOLE = auto()
    NOTHING = auto()
    """No answer of a model: HTML of a gateway, or a body that is too large."""


class StreamMeter:
    """An observer of an exchange: call it with the decompressed bytes of the response, then `finish`.

    `clock_ms` tells the milliseconds since the exchange began. Nothing here raises.
    """

    def __init__(self, api: str, clock_ms: Callable[[], float]) -> None:
        self.api = api
        self._clock_ms = clock_ms
        self._reader: Reader | None = reader_for(api)
        self._form = _Form.UNKNOWN
        self._events: SseParser | None = None
        self._parts: JsonParts | None = None
        self._body = bytearray()
        self._held: list[tuple[bytes, float]] = []
        self._size = 0
        self._turn_ended = False

    def begin(self, content_type: str) -> None:
        """The head of the response is here. What the type does not tell, the first byte does."""
        if content_type.partition(";")[0].strip().lower() == "text/event-stream":
            self._form = _Form.EVENTS

    @property
    def pending(self) -> int:
        """Bytes that `finish` would have to read."""
        return len(self._body) + self._size

    def __call__(self, chunk: bytes) -> None:
        """The next bytes of the body. They are read a little later, with the time they have now."""
        if self._form is _Form.NOTHING:
            return
        self._held.append((chunk, self._clock_ms()))
        self._size += len(chunk)
        if len(self._held) >= BUNDLE or self._size >= BUNDLE_BYTES:
            self._read()

    def finish(self) -> Answer:
        """What is known of the answer. Parses what is left here, a whole body say: best in a thread."""
        self._read()
        if self._reader is None:
            return Answer()
        if self._form is _Form.WHOLE and self._body:
            self._reader.whole(loads(self._body))
            self._body.clear()
        return self._reader.answer()

    def message(self, text: str | bytes) -> Answer | None:
        """One message of the server on a WebSocket of the Responses API; the answer, once this has ended it."""
        data = text if isinstance(text, str) else text.decode("utf-8", "replace")
        kind = event_type(data[:_TYPE_WITHIN]) if len(data) > LARGEST_EVENT else event_type(data)
        if self._turn_ended:
            self._reader, self._turn_ended = reader_for(self.api), False
        if self._reader is None:
            return None
        if len(data) <= LARGEST_EVENT:
            self._reader.feed(SseEvent(kind or "message", data, None, None), self._clock_ms())
        self._turn_ended = kind in LAST_EVENTS
        return self._reader.answer() if self._turn_ended else None

    def _read(self) -> None:
        held, self._held, self._size = self._held, [], 0
        for chunk, at_ms in held:
            self._take(chunk, at_ms)

    def _take(self, chunk: bytes, at_ms: float) -> None:
        if self._form is _Form.EVENTS:
            if self._reader:
                events = self._events = self._events or SseParser(LARGEST_EVENT)
                for event in events.feed(chunk):
                    self._reader.feed(event, at_ms)
        elif self._form is _Form.UNKNOWN:
            self._look(chunk, at_ms)
        elif self._form is _Form.WHOLE:
            self._collect(chunk)
        elif self._form is _Form.PARTS and self._reader:
            parts = self._parts = self._parts or JsonParts(LARGEST_EVENT)
            for part in parts.feed(chunk):
                self._reader.feed(SseEvent("message", part, None, None), at_ms)

    def _look(self, chunk: bytes, at_ms: float) -> None:
        """The first byte that is no space tells what kind of body this is."""
        begin = chunk.lstrip()
        first = begin[:1]
        if not first:
            return
        if first == b"[" and self.api == GEMINI:
            self._form = _Form.PARTS
        elif first in b"{[":
            self._form = _Form.WHOLE
        elif first in _EVENT_BEGINNINGS:
            self._form = _Form.EVENTS
        else:
            self._form = _Form.NOTHING
        self._take(begin, at_ms)

    def _collect(self, chunk: bytes) -> None:
        if len(self._body) + len(chunk) > LARGEST_BODY:
            self._form = _Form.NOTHING
            self._body.clear()
        else:
            self._body += chunk
