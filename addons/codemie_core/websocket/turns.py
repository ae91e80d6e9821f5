"""The turns of a WebSocket of the Responses API: which message asks for one, which ends it, and in which lane.

A lane is named by `stream_id`. What is asked for in one lane is answered in that order, lanes beside each other
(https://developers.openai.com/api/docs/guides/websocket-mode). Codex uses one lane, without a name.
"""

from __future__ import annotations

import re
from collections import deque

from codemie_core.json_text import loads
from codemie_core.usage.responses import LAST_EVENTS

ENDS = LAST_EVENTS | {"error"}
"""Nothing of the turn follows, but that an `error` may be said again by a `response.failed`."""
MOST_OPEN = 64

_ASKS = b'"response.create"'
_TYPE_WITHIN = 200
_LONGEST_READ = 1024 * 1024
_KIND = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z_.]{1,80})"')
_LANE = re.compile(rb'"stream_id"\s*:\s*"([^"\\]{1,200})"')


def asks(message: bytes) -> bool:
    """Does the client ask for a turn? Within a text its quotes would be escaped."""
    if _ASKS in message[:_TYPE_WITHIN] or _ASKS in message[-_TYPE_WITHIN:]:
        return True
    return _ASKS in message and _named(message, "type") == "response.create"


def kind_of(message: bytes) -> str:
    """The type of a message, "" when it does not say."""
    if found := _KIND.match(message):
        return found[1].decode()
    return _named(message, "type") if len(message) <= _LONGEST_READ else ""


def lane_of(message: bytes) -> str:
    """The lane of a message, "" for the one without a name."""
    if b'"stream_id"' not in message:
        return ""
    if len(message) <= _LONGEST_READ:
        return _named(message, "stream_id")
    found = _LANE.search(message)
    return found[1].decode("utf-8", "replace") if found else ""


def _named(message: bytes, name: str) -> str:
    said = loads(message)
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""


class Lanes[T]:
    """Turns that have been asked for and have not ended."""

    def __init__(self) -> None:
        self._turns: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

    def __contains__(self, lane: object) -> bool:
        return lane in self._turns

    def begin(self, lane: str, turn: T) -> None:
        """It comes after those that wait in this lane."""
        self._turns.setdefault(lane, deque()).append(turn)

    def lane(self, message: bytes) -> str | None:
        """The lane with an open turn that this message of the server is about; None when there is none."""
        if not self._turns:
            return None
        named = lane_of(message)
        if named in self._turns:
            return named
        # An error may come without a name.
        return next(iter(self._turns)) if not named and len(self._turns) == 1 else None

    def first(self, lane: str) -> T:
        """The turn that is being answered there."""
        return self._turns[lane][0]

    def end(self, lane: str) -> T:
        """It has ended."""
        turns = self._turns[lane]
        turn = turns.popleft()
        if not turns:
            del self._turns[lane]
        return turn

    def oldest(self) -> str:
        """The lane that has had an open turn for longest."""
        return next(iter(self._turns))

    def end_all(self) -> list[T]:
        """All of them, at once."""
        ended = [turn for turns in self._turns.values() for turn in turns]
        self._turns.clear()
        return ended


class OpenTurns:
    """Does the client wait for an answer? Says so of `response.create` alone: of other protocols nothing is known."""

    def __init__(self) -> None:
        self._lanes = Lanes[None]()

    def __bool__(self) -> bool:
        return len(self._lanes) > 0

    def said(self, message: bytes, from_client: bool) -> bool:
        """A message has passed. Has it asked for a turn?"""
        if from_client:
            if not asks(message):
                return False
            if len(self._lanes) < MOST_OPEN:
                self._lanes.begin(lane_of(message), None)
            return True
        if self and kind_of(message) in ENDS and (lane := self._lanes.lane(message)) is not None:
            self._lanes.end(lane)
        return False
