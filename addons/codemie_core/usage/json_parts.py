"""The objects of a JSON array, as they arrive: so Gemini streams when nobody asks it for server-sent events."""

from __future__ import annotations

import re

# Up to the next bracket, over whole strings. Possessive, so that no input is looked at twice.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_IN_STRING = re.compile(rb'["\\]')
_QUOTE, _BACKSLASH, _OPENING = ord('"'), ord("\\"), b"{["


class JsonParts:
    """Feed chunks, get the text of each object or array that the outermost array holds. Never raises.

    One with more than `max_part` bytes is dropped.
    """

    def __init__(self, max_part: int = 1024 * 1024) -> None:
        self._max = max_part
        self._held = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._too_long = False

    @property
    def held(self) -> int:
        """Bytes kept until the rest of their object arrives."""
        return len(self._held)

    def feed(self, data: bytes) -> list[str]:
        """The objects that `data` completes."""
        parts = []
        start = place = 0
        while (place := self._next(data, place)) < len(data):
            if data[place] in _OPENING:
                self._depth += 1
                if self._depth == 2:
                    start = place
            elif self._depth:
                self._depth -= 1
                if self._depth == 1 and (part := self._end(data[start : place + 1])):
                    parts.append(part)
            place += 1
        if self._depth > 1:
            self._hold(data[start:])
        return parts

    def _next(self, data: bytes, place: int) -> int:
        """Where the next bracket outside of a string is; the length of `data` when there is none."""
        while place < len(data):
            if self._escaped:
                self._escaped, place = False, place + 1
            elif self._in_string:
                found = _IN_STRING.search(data, place)
                if not found:
                    return len(data)
                self._escaped = data[found.start()] == _BACKSLASH
                self._in_string = self._escaped
                place = found.end()
            else:
                found = _TO_BRACKET.match(data, place)
                place = found.end() if found else place
                if place == len(data) or data[place] != _QUOTE:
                    return place
                # A string that goes on in the next chunk.
                self._in_string, place = True, place + 1
        return place

    def _hold(self, piece: bytes) -> None:
        if self._too_long or len(self._held) + len(piece) > self._max:
            self._too_long = True
            self._held.clear()
        else:
            self._held += piece

    def _end(self, piece: bytes) -> str:
        self._hold(piece)
        part = self._held.decode("utf-8", "replace")
        self._held.clear()
        self._too_long = False
        return part
