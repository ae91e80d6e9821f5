"""What was said, in the words of OpenAI's Chat Completions API and of the many that speak it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from codemie_core.inspection.talk import Asking, Kind, Message, Part
from codemie_core.inspection.words import as_text, joined, media, said
from codemie_core.usage.json_values import count, rows, table, text, word

_ORDERS = ("system", "developer")


def asking(_path: str, body: Mapping[str, object]) -> Asking:
    """A request. What is said in the name of the system, wherever it stands, is apart."""
    messages = [table(each) for each in rows(body.get("messages"))]
    return Asking(
        word(body.get("model")),
        body.get("stream") is True,
        tuple(joined(each.get("content")) for each in messages if each.get("role") in _ORDERS),
        tuple(_tool_name(tool) for tool in map(table, rows(body.get("tools")))),
        tuple(_message(each) for each in messages if each.get("role") not in _ORDERS),
    )


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    words: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: list[tuple[int, _Call]] = field(default_factory=list)

    def take(self, delta: Mapping[str, object]) -> None:
        """One more piece."""
        self.words.append(text(delta.get("content")))
        self.thoughts.append(text(delta.get("reasoning_content")) or text(delta.get("reasoning")))
        self.refusal.append(text(delta.get("refusal")))
        for place, said_of_call in enumerate(map(table, rows(delta.get("tool_calls")))):
            index = count(said_of_call.get("index"))
            self._call(place if index is None else index, said_of_call)

    def message(self) -> Message:
        """All of them."""
        parts = [*said(Kind.THINKING, "".join(self.thoughts)), *said(Kind.TEXT, "".join(self.words))]
        parts += said(Kind.TEXT, "".join(self.refusal))
        parts += [Part(Kind.CALL, "".join(call.arguments), call.name, call.id) for _, call in self.calls]
        return Message("assistant", tuple(parts))

    def _call(self, number: int, piece: Mapping[str, object]) -> None:
        id_ = word(piece.get("id"))
        known = next((call for index, call in reversed(self.calls) if index == number), None)
        # Some gateways give all calls the same number: then a new id begins a new call.
        if known is None or (id_ and known.id and id_ != known.id):
            known = _Call()
            self.calls.append((number, known))
        function = table(piece.get("function")) or table(piece.get("custom"))
        known.id, known.name = known.id or id_, known.name or word(function.get("name"))
        known.arguments.append(text(function.get("arguments")) or text(function.get("input")))


def streamed(events: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[Message, ...]:
    """An answer out of its chunks, as far as they came: one message for each choice."""
    choices: dict[int, _Choice] = {}
    for _, chunk in events:
        for choice in map(table, rows(chunk.get("choices"))):
            delta = table(choice.get("delta")) or table(choice.get("message"))
            choices.setdefault(count(choice.get("index")) or 0, _Choice()).take(delta)
    return tuple(choice.message() for choice in choices.values())


def whole(body: Mapping[str, object]) -> tuple[Message, ...]:
    """An answer that was not streamed."""
    choices = (table(choice) for choice in rows(body.get("choices")))
    return tuple(_message(table(choice.get("message"))) for choice in choices if choice.get("message"))


def _message(message: Mapping[str, object]) -> Message:
    role = word(message.get("role")) or "assistant"
    if role in ("tool", "function"):
        result = Part(
            Kind.RESULT,
            joined(message.get("content")),
            word(message.get("name")),
            word(message.get("tool_call_id")),
        )
        return Message(role, (result,))
    return Message(role, tuple(_parts(message)))


def _parts(message: Mapping[str, object]) -> Iterator[Part]:
    yield from said(Kind.THINKING, text(message.get("reasoning_content")) or text(message.get("reasoning")))
    content = message.get("content")
    if isinstance(content, str):
        yield from said(Kind.TEXT, content)
    for part in map(table, rows(content)):
        kind = text(part.get("type"))
        if kind in ("text", "refusal"):
            yield from said(Kind.TEXT, text(part.get("text")) or text(part.get("refusal")))
        elif kind:
            yield media(kind, "", text(table(part.get("image_url")).get("url")))
    yield from said(Kind.TEXT, text(message.get("refusal")))
    for call in map(table, rows(message.get("tool_calls"))):
        function = table(call.get("function")) or table(call.get("custom"))
        arguments = function.get("arguments", function.get("input"))
        yield Part(Kind.CALL, as_text(arguments), word(function.get("name")), word(call.get("id")))


def _tool_name(tool: Mapping[str, object]) -> str:
    named = table(tool.get("function")) or table(tool.get("custom"))
    return word(named.get("name")) or word(tool.get("type"))
