"""The beginning and the end of a body, however long it is, and without its secrets.

A cut may go through a secret, and half a secret is one too. So both ends are kept with some context beyond what is
shown, redacted together with it, and the word that the cut went through is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from codemie_core.decoding import decode_bounded
from codemie_core.redact import redact_text
from codemie_core.sse import SseParser

CONTEXT = 4096
"""Bytes beyond what is shown: as much as a cookie may have, so that its name is seen together with its value."""
MAX_DECODED = 16 * 1024 * 1024
SHOWN_LINES = 10
"""Lines of an event stream shown from each end, as CodeMie does."""

_LONGEST_WORD = 2 * CONTEXT
_LAST_WORD = re.compile(r"\S*\Z")
_FIRST_WORD = re.compile(r"\A\S*")


class BodySample:
    """Feed it the body. Keeps at most `limit` bytes and their context from each end."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._kept = limit + CONTEXT
        self._head = bytearray()
        self._tail = bytearray()

    def __call__(self, data: bytes) -> None:
        """One more piece."""
        self.size += len(data)
        room = self._kept - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-self._kept :]
            # Not at every piece: moving the rest of a bytearray costs as much as copying it.
            if len(self._tail) > 2 * self._kept:
                del self._tail[: -self._kept]

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._head) + len(self._tail)

    def ends(self, redact: Callable[[str], str] = redact_text) -> tuple[str, str]:
        """Head and tail, redacted; the tail is empty when the head is all of it."""
        head, tail = bytes(self._head), bytes(self._tail[-self._kept :])
        if len(head) + len(tail) == self.size:
            whole = redact((head + tail).decode(errors="replace"))
            if len(whole) <= 2 * self._limit:
                return whole, ""
            return whole[: self._limit], whole[len(whole) - self._limit :]
        first = redact(_without_last_word(head.decode(errors="replace")))
        last = redact(_FIRST_WORD.sub("", tail.decode(errors="replace"), count=1))
        return first[: self._limit], last[max(0, len(last) - self._limit) :]

    def shown(self) -> object:
        """As the log shows it."""
        head, tail = self.ends()
        return f"{head} [... of {self.size} bytes ...] {tail}" if tail or len(self._head) < self.size else head


def _without_last_word(text: str) -> str:
    # Looked for from the beginning it would take seconds in a long body.
    at = max(0, len(text) - _LONGEST_WORD)
    return text[:at] + _LAST_WORD.sub("", text[at:], count=1)


class EventSample(BodySample):
    """An event stream, summed up."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._parser = SseParser()
        self._events = self._lines = 0

    def __call__(self, data: bytes) -> None:
        super().__call__(data)
        self._events += len(self._parser.feed(data))
        self._lines += data.count(b"\n")

    def shown(self) -> Mapping[str, object]:
        """What CodeMie's own log says about a stream."""
        head, tail = self.ends()
        return {
            "type": "text/event-stream",
            "eventCount": self._events,
            "firstEvents": head.splitlines()[:SHOWN_LINES],
            "lastEvents": (tail or head).splitlines()[-SHOWN_LINES:],
            "totalLines": self._lines,
            "bodySizeBytes": self.size,
        }


def sample_for(content_type: str, limit: int) -> BodySample:
    """The kind that suits a response."""
    return EventSample(limit) if content_type.lower().startswith("text/event-stream") else BodySample(limit)


def shown_encoded(data: bytes, content_encoding: str, limit: int) -> object:
    """A whole compressed body as the log shows it."""
    decoded = decode_bounded(data, content_encoding, MAX_DECODED)
    if decoded is None:
        return f"[omitted: {len(data)} bytes that could not be decoded]"
    sample = BodySample(limit)
    sample(decoded)
    return sample.shown()
