"""An answer while it is being read."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.json_values import without_halves, word
from codemie_core.usage.usage import Usage

MOST_CALLS = 128
LONGEST_ARGUMENTS = 256 * 1024
"""Characters."""


@dataclass(slots=True)
class CallDraft:
    """A tool call whose arguments arrive piece by piece."""

    id: str = ""
    name: str = ""
    ended: bool = False
    """The API said that nothing more of it comes."""
    _pieces: list[str] = field(default_factory=list)
    _size: int = 0

    def named(self, id_: object, name: object) -> None:
        """Take the id and the name, each where it is not known yet."""
        self.id = self.id or word(id_)
        self.name = self.name or word(name)

    def add(self, piece: str) -> None:
        """The next piece of the arguments."""
        if piece and self._size <= LONGEST_ARGUMENTS:
            # One character beyond the bound is kept: it tells that there was more.
            self._pieces.append(piece[: LONGEST_ARGUMENTS + 1 - self._size])
            self._size += len(piece)

    def settle(self, arguments: str) -> None:
        """All of the arguments at once, whatever came before."""
        self._pieces, self._size = [], 0
        self.add(arguments)
        self.ended = True

    @property
    def empty(self) -> bool:
        """Has no piece arrived?"""
        return not self._pieces

    def call(self, index: int) -> ToolCall:
        """What is known of it."""
        arguments = "".join(self._pieces)
        too_long = len(arguments) > LONGEST_ARGUMENTS
        whole = without_halves(arguments[:LONGEST_ARGUMENTS])
        return ToolCall(self.id, self.name, whole, index, cut=too_long or not self.ended)


@dataclass(slots=True)
class Draft[Key: Hashable]:
    """Filled by a reader; everything but the usage, which each API counts in its own way."""

    model: str = ""
    response_id: str = ""
    stop_reason: str = ""
    refusal: bool = False
    events: int = 0
    first_token_ms: float | None = None
    last_token_ms: float | None = None
    complete: bool = False
    error: str = ""
    text_chars: int = 0
    _calls: dict[Key, CallDraft] = field(default_factory=dict)

    def named(self, model: object, response_id: object) -> None:
        """Take the model and the id, each where it is not known yet."""
        self.model = self.model or word(model)
        self.response_id = self.response_id or word(response_id)

    def token(self, at_ms: float | None) -> None:
        """A piece of the answer arrived; None for one that was no stream."""
        if at_ms is not None:
            if self.first_token_ms is None:
                self.first_token_ms = at_ms
            self.last_token_ms = at_ms

    def call(self, key: Key) -> CallDraft | None:
        """The call that the API knows by `key`, begun if it is new; None when there are too many."""
        found = self._calls.get(key)
        if found is None and len(self._calls) < MOST_CALLS:
            found = self._calls[key] = CallDraft()
        return found

    def known_call(self, key: Key) -> CallDraft | None:
        """The call of this key, if it has begun."""
        return self._calls.get(key)

    def calls(self) -> list[tuple[Key, CallDraft]]:
        """All calls by key, in the order they began."""
        return list(self._calls.items())

    def answer(self, usage: Usage) -> Answer:
        """What has been seen so far."""
        return Answer(
            model=self.model,
            response_id=self.response_id,
            stop_reason=self.stop_reason,
            refusal=self.refusal,
            usage=usage,
            tools=tuple(each.call(index) for index, each in enumerate(self._calls.values())),
            events=self.events,
            first_token_ms=self.first_token_ms,
            last_token_ms=self.last_token_ms,
            complete=self.complete,
            error=self.error,
            text_chars=self.text_chars,
        )
