"""Requests of OpenAI's Chat Completions API and of the many that speak it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.injected import is_own_business
from codemie_core.usage.json_values import rows, table, text, word
from codemie_core.usage.surroundings import surroundings
from codemie_core.usage.trail import Trail, last_turn

_MEDIA = frozenset({"image_url", "input_audio", "file", "video_url"})


def asked_of_chat(path: str, body: Mapping[str, object]) -> Asked:
    """Results carry no sign of success: whether they went well is unknown."""
    messages = rows(body.get("messages"))
    turn, before = last_turn(messages, lambda message: message.get("role") == "assistant")
    trail = Trail()
    for message in turn:
        match message.get("role"):
            case "user":
                _read(trail, message.get("content"))
            case "tool":
                trail.result(ToolResult(word(message.get("tool_call_id")), word(message.get("name")), None))
            case "function":
                trail.result(ToolResult("", word(message.get("name")), None))
    system = [each for message in map(table, messages) if _is_system(message) for each in _texts(message)]
    return trail.asked(
        word(body.get("model")),
        body.get("stream") is True,
        str(before),
        side=is_own_business(system),
        at=surroundings(system),
    )


def _read(trail: Trail, content: object) -> None:
    if isinstance(content, str):
        trail.text(content)
    for part in map(table, rows(content)):
        if part.get("type") == "text":
            trail.text(text(part.get("text")))
        elif part.get("type") in _MEDIA:
            trail.media()


def _is_system(message: Mapping[str, object]) -> bool:
    return message.get("role") in ("system", "developer")


def _texts(message: Mapping[str, object]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in map(table, rows(content)):
        yield text(part.get("text"))
