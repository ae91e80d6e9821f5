"""What was said, in one shape for every API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a part of a message is."""

    TEXT = "text"
    THINKING = "thinking"
    CALL = "call"
    RESULT = "result"
    MEDIA = "media"
    NOTE = "note"
    """What the reader of the body has to say: that something is sealed, or missing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message."""

    kind: Kind
    text: str
    """Of a call its arguments, JSON or free text, of a result what came back."""
    name: str = ""
    """Of the tool."""
    id: str = ""
    """Pairs a call with its result; "" where the API gives none."""
    ok: bool | None = None
    """Of a result: did it go well? None where nobody said."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one side said at once. `role`: user, assistant, system, or the API's own word."""

    role: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """A request for a turn."""

    model: str
    stream: bool
    system: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """Names of the tools on offer."""
    messages: tuple[Message, ...] = ()


def paired(messages: tuple[Message, ...]) -> list[Message]:
    """Each call followed by its result, and messages that held nothing but such results left out.

    By id, else the oldest open call of that name; a result without a call stays where it is.
    """
    calls: list[tuple[int, Part]] = []
    taken: dict[int, Part] = {}
    """The result of each call, by the identity of the call's part."""
    used: set[int] = set()
    for message in messages:
        for part in message.parts:
            if part.kind is Kind.CALL:
                calls.append((len(calls), part))
            elif part.kind is Kind.RESULT:
                found = next((each for each in calls if _belongs(part, each[1])), None)
                if found is not None:
                    calls.remove(found)
                    taken[id(found[1])] = part
                    used.add(id(part))
    shown = []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            if id(part) not in used:
                parts.append(part)
            if id(part) in taken:
                parts.append(taken[id(part)])
        if parts or not message.parts:
            shown.append(Message(message.role, tuple(parts)))
    return shown


def _belongs(result: Part, call: Part) -> bool:
    if result.id and call.id:
        return result.id == call.id
    return bool(result.name) and result.name == call.name
