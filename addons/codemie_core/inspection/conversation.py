"""What was said, out of the bodies of requests and answers of every model API. Pure: give it bytes and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from codemie_core.inspection import anthropic, chat, gemini, responses
from codemie_core.inspection.bodies import read_body
from codemie_core.inspection.talk import Asking, Message
from codemie_core.usage.apis import ANTHROPIC, CHAT, GEMINI, RESPONSES


class _Reading(NamedTuple):
    asking: Callable[[str, Mapping[str, object]], Asking]
    streamed: Callable[[Iterable[tuple[str, Mapping[str, object]]]], tuple[Message, ...]]
    whole: Callable[[Mapping[str, object]], tuple[Message, ...]]


_READ: Mapping[str, _Reading] = {
    ANTHROPIC: _Reading(anthropic.asking, anthropic.streamed, anthropic.whole),
    CHAT: _Reading(chat.asking, chat.streamed, chat.whole),
    RESPONSES: _Reading(responses.asking, responses.streamed, responses.whole),
    GEMINI: _Reading(gemini.asking, gemini.streamed, gemini.whole),
}


def asking_of(api: str, path: str, body: object) -> Asking | None:
    """Of the parsed body of a request, or of a WebSocket's message; None where it asks for no turn.

    `api` is one of `apis.MODEL_APIS`. Never raises, whatever the body holds.
    """
    reading = _READ.get(api)
    return reading.asking(path, body) if reading and isinstance(body, dict) else None


def answering_of(api: str, body: bytes) -> tuple[Message, ...]:
    """Of the decoded body of an answer, streamed or not, also one that was cut; () for what is none."""
    reading = _READ.get(api)
    if reading is None:
        return ()
    found = read_body(api, body)
    return reading.streamed(found.events) if found.whole is None else reading.whole(found.whole)


def answering_in(api: str, name: str, event: Mapping[str, object]) -> tuple[Message, ...]:
    """Of one event alone: the last one of the Responses API repeats the answer."""
    reading = _READ.get(api)
    return () if reading is None else reading.streamed([(name, event)])
