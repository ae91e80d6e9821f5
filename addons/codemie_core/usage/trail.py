"""The last turn of a conversation: what has come from the client's side since the model last spoke."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.injected import is_order, is_summary, persons_words
from codemie_core.usage.json_values import table
from codemie_core.usage.surroundings import Surroundings

MOST_RESULTS = 256
_ENDS = 512

type Entry = Mapping[str, object]


def last_turn(entries: Sequence[object], by_model: Callable[[Entry], bool]) -> tuple[list[Entry], int]:
    """The client's entries after the model's last one, and how many of the model's came before them.

    A conversation that ends with the model speaking (a prefilled answer, a paused turn) is read up to there.
    """
    known = [table(entry) for entry in entries]
    end = len(known)
    while end and by_model(known[end - 1]):
        end -= 1
    begin = end
    while begin and not by_model(known[begin - 1]):
        begin -= 1
    return known[begin:end], sum(by_model(entry) for entry in known[:begin])


@dataclass(slots=True)
class Trail:
    """Gathers what the last turn says."""

    results: list[ToolResult] = field(default_factory=list)
    _words: list[str] = field(default_factory=list)
    _media: bool = False
    _ordered: bool = False

    def text(self, text: str, persons: bool = True) -> None:
        """A text from the client's side, by a person or put in by the agent, which may be known."""
        if is_order(text):
            self._ordered = True
        elif is_summary(text):
            self._words.clear()
            self._media = False
        elif persons and (words := persons_words(text)):
            self._words.append(words)

    def media(self) -> None:
        """An image, a document, a sound."""
        self._media = True

    def result(self, result: ToolResult) -> None:
        """How a call went."""
        if len(self.results) < MOST_RESULTS:
            self.results.append(result)

    def asked(self, model: str, stream: bool, place: str, *, side: bool, at: Surroundings) -> Asked:
        """`place`: where in its conversation the turn stands. A `side` request is the agent's own, not a person's."""
        # An image beside results is what a tool has read.
        prompted = not (side or self._ordered) and (bool(self._words) or (self._media and not self.results))
        mark = f"{digest(place)}.{digest(chr(10).join(self._words))}" if prompted else ""
        return Asked(model, stream, int(prompted), mark, tuple(self.results), at.folder, at.branch)


def digest(text: str) -> str:
    """16 letters that tell this text from others; of a long one its ends and its length do."""
    if len(text) > 2 * _ENDS:
        text = f"{text[:_ENDS]}{len(text)}{text[-_ENDS:]}"
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
