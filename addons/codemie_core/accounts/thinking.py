"""Thinking blocks whose signature another account rejects: told from the error, and left out once.

Anthropic signs the thinking of its models; an account of another organization may answer "Invalid `signature` in
`thinking` block". Only then, and never in advance: with the signatures in place the conversation keeps its prompt cache
and the model its thoughts.
"""

from __future__ import annotations

import json
import re
from typing import Any

_REJECTED = re.compile(rb"invalid\W+signature\W+in\W+(redacted_)?thinking\W+block", re.IGNORECASE)
_THINKING = frozenset({"thinking", "redacted_thinking"})


def rejected_signature(status: int, body: bytes) -> bool:
    """Does this error say that a signature of earlier thinking is not accepted?"""
    return status == 400 and _REJECTED.search(body) is not None


def without_thinking(raw: bytes) -> bytes | None:
    """The request without the thinking of earlier turns; None when there is none in it, or it is no JSON.

    A turn of nothing else goes as a whole: none may be empty. In the middle of a tool loop Anthropic expects the newest
    turn to begin with thinking wherever thinking is on, so there it is switched off for this one request.
    """
    try:
        request = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list):
        return None
    kept, newest = [], None
    for message in messages:
        shorter = _shorter(message)
        if shorter is not None:
            kept.append(shorter)
        if isinstance(message, dict) and message.get("role") == "assistant":
            newest = message, shorter
    if kept == messages:
        return None
    request["messages"] = kept
    if newest is not None and newest[0] is not newest[1] and _calls_tools(newest[0]):
        _switch_off(request)
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def _shorter(message: Any) -> Any:
    """The message without thinking: itself when there is none in it, None when nothing is left."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or message.get("role") != "assistant":
        return message
    kept = [block for block in content if not (isinstance(block, dict) and block.get("type") in _THINKING)]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


def _calls_tools(message: dict[str, Any]) -> bool:
    return any(isinstance(block, dict) and block.get("type") == "tool_use" for block in message["content"])


def _switch_off(request: dict[str, Any]) -> None:
    request.pop("thinking", None)
    context = request.get("context_management")
    if isinstance(context, dict) and isinstance(context.get("edits"), list):
        # Clearing old thinking is refused where thinking is off.
        edits = [e for e in context["edits"] if not (isinstance(e, dict) and "thinking" in str(e.get("type")))]
        if edits:
            request["context_management"] = {**context, "edits": edits}
        else:
            request.pop("context_management")
