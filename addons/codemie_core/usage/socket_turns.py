"""The turns of one WebSocket: each begins with what the client asks and ends with the model's last event.

A client need not wait for one answer before it asks for the next (see codemie_core/websocket/turns.py). A turn that
is steered ends, and the model goes on by itself in another one: the words of the client are what that one was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from codemie_core.usage.answer import Answer
from codemie_core.websocket.turns import MOST_OPEN, Lanes, asks, kind_of, lane_of

MOST_HELD = 64 * 1024 * 1024
"""Bytes of questions that wait; with more, the last ones are counted without what they would tell."""
_STEERS = "response.steer"


class MessageMeter(Protocol):
    """Reads the messages of one turn."""

    def message(self, text: bytes) -> Answer | None:
        """The answer, once this message has ended it."""

    def finish(self) -> Answer:
        """What was seen so far."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that is over. `number` counts from 1, `began_ms` since the exchange began."""

    number: int
    asked: bytes
    """The message that asked for it."""
    answer: Answer
    began_ms: float
    meter: MessageMeter | None = field(default=None, compare=False)
    """What has read it."""


@dataclass(frozen=True, slots=True)
class _Open:
    number: int
    asked: bytes
    began_ms: float
    meter: MessageMeter


class SocketTurns:
    """Feed every message of one WebSocket. `make_meter` gives a fresh meter; `clock_ms` is the exchange's."""

    def __init__(self, api: str, make_meter: Callable[[], MessageMeter], clock_ms: Callable[[], float]) -> None:
        self.api = api
        self._make_meter, self._clock_ms = make_meter, clock_ms
        self._number = self._held = 0
        self._lanes = Lanes[_Open]()
        self._steered = b""
        self._failed: str | None = None
        """The lane whose turn has just ended with an error, which may be said once more."""

    def from_client(self, content: bytes) -> Ended | None:
        """A turn that was never answered, where too many have been asked for."""
        if not asks(content):
            if kind_of(content) == _STEERS and len(content) <= MOST_HELD - self._held:
                self._steered = content
            return None
        surplus = None
        if len(self._lanes) >= MOST_OPEN:
            lane = self._lanes.oldest()
            surplus = self._end(lane, self._lanes.first(lane).meter.finish())
        lane = lane_of(content)
        if lane == self._failed and lane not in self._lanes:
            self._failed = None
        self._begin(lane, content)
        return surplus

    def from_server(self, content: bytes) -> Ended | None:
        """The turn that this message ends."""
        kind, lane = kind_of(content), self._lanes.lane(content)
        if kind == "response.created":
            if lane is None:
                lane = lane_of(content)
                self._begin(lane, self._steered)
                self._steered = b""
            if lane == self._failed:
                self._failed = None
        if lane is None or (kind == "response.failed" and lane == self._failed):
            return None
        meter = self._lanes.first(lane).meter
        answer = meter.message(content)
        if answer is None and kind == "error":
            answer = meter.finish()
            self._failed = lane
        return self._end(lane, answer) if answer is not None else None

    def cut(self) -> list[Ended]:
        """The turns that are open, ended before their time."""
        self._held, self._steered = 0, b""
        return [_ended(turn, turn.meter.finish()) for turn in self._lanes.end_all()]

    def _begin(self, lane: str, asked: bytes) -> None:
        if self._held and self._held + len(asked) > MOST_HELD:
            asked = b""
        self._held += len(asked)
        self._number += 1
        self._lanes.begin(lane, _Open(self._number, asked, self._clock_ms(), self._make_meter()))

    def _end(self, lane: str, answer: Answer) -> Ended:
        turn = self._lanes.end(lane)
        self._held -= len(turn.asked)
        return _ended(turn, answer)


def _ended(turn: _Open, answer: Answer) -> Ended:
    return Ended(turn.number, turn.asked, answer, turn.began_ms, turn.meter)
