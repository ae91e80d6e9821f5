"""Server-sent events out of bytes, as they arrive.

https://html.spec.whatwg.org/multipage/server-sent-events.html

Works on bytes because only CR, LF and CRLF end a line (str.splitlines would also split at U+2028), and
because a chunk may end inside a character. Knows nothing of flows, JSON or providers. Costs 1 us per event where each
comes in a chunk of its own, as models send them, else 2 to 3 us.
"""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_COLON = ord(":")
# Reconnection times are milliseconds; int() refuses texts of thousands of digits.
_MOST_RETRY_DIGITS = 15


class SseEvent(NamedTuple):
    """One dispatched event.

    `event` is "message" when the stream named none, `id` the last event id so far (None before the first),
    `retry` the reconnection time in milliseconds if this event carried one.
    """

    event: str
    data: str
    id: str | None
    retry: int | None


class SseParser:
    """Feed chunks, get events. Never raises.

    An event with more than `max_event` bytes of data, or a line longer than that, is dropped and counted in
    `dropped`; parsing goes on with the next event.
    """

    def __init__(self, max_event: int = 1024 * 1024) -> None:
        self.dropped = 0
        self._max = max_event
        self._start: bytes | None = b""
        self._after_cr = False
        self._between = False
        """Nothing is held, so that a chunk which is one event can be taken as it is."""
        self._tail = bytearray()
        self._tail_cut = False
        self._last_id: str | None = None
        self._begin_event()

    def _begin_event(self) -> None:
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0
        self._retry: int | None = None
        self._oversized = False

    @property
    def held(self) -> int:
        """Bytes kept until the rest of their line or event arrives."""
        return len(self._tail) + self._size + len(self._event)

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes."""
        if self._between and (alone := self._alone(data)):
            return [alone]
        events = self._feed(data)
        self._between = self._start is None and not (self._after_cr or self._tail_cut or self._oversized or self.held)
        self._between = self._between and self._retry is None and not self._data
        return events

    def _alone(self, data: bytes) -> SseEvent | None:
        """The event that this chunk is, as models send them: a name and a line of data, or that line only."""
        if len(data) > self._max or not data.endswith(b"\n\n") or b"\r" in data:
            return None
        name, value, lines = b"message", b"", data.count(b"\n")
        if lines == 3 and data.startswith(b"event: "):
            name, _, value = data[7:-2].partition(b"\ndata: ")
        elif lines == 2 and data.startswith(b"data: "):
            value = data[6:-2]
        if not (name and value):
            return None
        return SseEvent(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"), self._last_id, None)

    def _feed(self, data: bytes) -> list[SseEvent]:
        if self._start is not None:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf_only(data)
        head, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._hold(rest)
            return []
        lines = head.split(b"\n")
        if self._tail:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        if self._tail_cut:
            del lines[0]
            self._tail_cut = False
        events = []
        for line in lines:
            if line:
                self._take(line)
            elif event := self._dispatch():
                events.append(event)
        self._hold(rest)
        return events

    def finish(self) -> list[SseEvent]:
        """Ends the stream. What still lacks its blank line is discarded, as the specification has it."""
        self._tail.clear()
        self._tail_cut = False
        self._begin_event()
        return []

    def _without_bom(self, data: bytes) -> bytes:
        assert self._start is not None
        start = self._start + data
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)

    def _with_lf_only(self, data: bytes) -> bytes:
        """A CR ends its line at once, so the LF that may open the next chunk belongs to it."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, rest: bytes) -> None:
        """Keeps the beginning of a line, up to the limit."""
        if self._tail_cut or not rest:
            return
        self._tail += rest
        if len(self._tail) > self._max:
            self._refuse(self._tail[0])
            self._tail.clear()
            self._tail_cut = True

    def _refuse(self, first_byte: int) -> None:
        """Gives up the event that a line is too long for, unless the line is a comment."""
        if first_byte != _COLON:
            self._drop()

    def _drop(self) -> None:
        if not self._oversized:
            self.dropped += 1
        self._begin_event()
        self._oversized = True

    def _take(self, line: bytes) -> None:
        if len(line) > self._max:
            self._refuse(line[0])
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MOST_RETRY_DIGITS:
            self._retry = int(value)

    def _add_data(self, value: bytes) -> None:
        if self._oversized:
            return
        # The line feed counts, or endless empty data lines would cost nothing.
        self._size += len(value) + 1
        if self._size > self._max:
            self._drop()
        else:
            self._data.append(value)

    def _dispatch(self) -> SseEvent | None:
        event = None
        if self._data:
            name = self._event.decode("utf-8", "replace") if self._event else "message"
            event = SseEvent(name, b"\n".join(self._data).decode("utf-8", "replace"), self._last_id, self._retry)
        self._begin_event()
        return event
