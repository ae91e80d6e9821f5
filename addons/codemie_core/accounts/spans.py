"""Where the parts of a JSON text are, so that one of them can be changed and every other byte stays."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Part:
    """A member of an object or an element of an array."""

    key: str
    """"" in an array."""
    value: Any
    start: int
    """Where it begins, with its key."""
    at: int
    """Where its value begins."""
    end: int


def whole(text: str) -> Part:
    """The one value of a JSON text. ValueError or RecursionError when it is none."""
    start = _skip(text, 0)
    value, end = _DECODER.raw_decode(text, start)
    if _skip(text, end) != len(text):
        raise ValueError("more than one value")
    return Part("", value, start, start, end)


def parts(text: str, of: Part) -> list[Part]:
    """The parts of an object or an array that has been read from this text, in their order, repeated keys too."""
    keyed = isinstance(of.value, dict)
    found: list[Part] = []
    place = _skip(text, of.at + 1)
    while text[place] not in "]}":
        start, key = place, ""
        if keyed:
            key, place = _DECODER.raw_decode(text, place)
            place = _skip(text, _skip(text, place) + 1)
        value, end = _DECODER.raw_decode(text, place)
        found.append(Part(key, value, start, place, end))
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)
    return found


def only(text: str, of: Part, key: str) -> Part | None:
    """The member with this key, if there is exactly one: of two, nobody knows which one a provider takes."""
    found = [part for part in parts(text, of) if part.key == key]
    return found[0] if len(found) == 1 else None


def cuts(among: Sequence[Part], dropped: Collection[int]) -> list[tuple[int, int]]:
    """What to leave out of the text so that the parts with these numbers are gone, with their commas."""
    kept = [number for number in range(len(among)) if number not in dropped]
    if not kept:
        return [(among[0].start, among[-1].end)] if among else []
    found = [(among[number].start, among[number + 1].start) for number in sorted(dropped) if number < kept[-1]]
    if kept[-1] < len(among) - 1:
        found.append((among[kept[-1]].end, among[-1].end))
    return found


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without these spans, which do not overlap."""
    pieces, place = [], 0
    for start, end in sorted(spans):
        pieces.append(text[place:start])
        place = end
    return "".join([*pieces, text[place:]])


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place
