"""Requests of Anthropic's Messages API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.injected import is_own_business
from codemie_core.usage.json_values import rows, table, text, word
from codemie_core.usage.surroundings import surroundings
from codemie_core.usage.trail import Trail, last_turn

_MODEL_IN_PATH = re.compile(r"/models/([^/?:]+):")
_SUBAGENT = "cc_is_subagent=true"
_FIRST_MESSAGES = 4
"""Claude Code tells its surroundings in the system prompt or at the head of the conversation."""


def asked_of_anthropic(path: str, body: Mapping[str, object]) -> Asked:
    """`path` names the model where a cloud's gateway is asked."""
    messages = rows(body.get("messages"))
    turn, before = last_turn(messages, lambda message: message.get("role") == "assistant")
    trail = Trail()
    for message in turn:
        if message.get("role") == "user":
            _read(trail, message.get("content"))
    system = list(_texts(body.get("system")))
    in_path = _MODEL_IN_PATH.search(path)
    head = (table(message) for message in messages[:_FIRST_MESSAGES])
    said = (each for message in head if message.get("role") != "assistant" for each in _texts(message.get("content")))
    return trail.asked(
        word(body.get("model")) or word(in_path[1] if in_path else ""),
        body.get("stream") is True or ":streamRawPredict" in path,
        str(before),
        side=_is_side(body, system),
        at=surroundings([*system, *said]),
    )


def _read(trail: Trail, content: object) -> None:
    if isinstance(content, str):
        trail.text(content)
    for block in map(table, rows(content)):
        match block.get("type"):
            case "text":
                trail.text(text(block.get("text")))
            case "tool_result":
                # The API's default is false: what is not called an error has worked.
                trail.result(ToolResult(word(block.get("tool_use_id")), "", block.get("is_error") is not True))
            case "image" | "document":
                trail.media()


def _is_side(body: Mapping[str, object], system: list[str]) -> bool:
    """Claude Code's quota check (one token), titles and summaries (no tools), and what its subagents are told."""
    by_claude_code = "session" in text(table(body.get("metadata")).get("user_id"))
    if by_claude_code and (not body.get("tools") or body.get("max_tokens") == 1):
        return True
    return any(_SUBAGENT in each[:500] for each in system[:1]) or is_own_business(system)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in map(table, rows(content)):
        if block.get("type") == "text":
            yield text(block.get("text"))
