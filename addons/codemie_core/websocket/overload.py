"""Does an upstream say in a message that it is overloaded? Over HTTP that would have been a status to try again on."""

from __future__ import annotations

import json

from codemie_core.websocket.turns import kind_of

OVERLOADED = frozenset({502, 503, 504, 529})
_ERROR = b'"error"'
_WITHIN = 200
"""Bytes in which a message says its type; the pieces of an answer are not parsed for it."""
_LONGEST = 64 * 1024


def says_overloaded(message: bytes) -> bool:
    """An error of one of these statuses, in the form of OpenAI's Responses API."""
    if len(message) > _LONGEST or _ERROR not in message[:_WITHIN]:
        return False
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict) or said.get("type") != "error":
        return False
    status = said.get("status", said.get("status_code"))
    return isinstance(status, int) and status in OVERLOADED


def is_aside(message: bytes) -> bool:
    """Does the upstream say something about limits and the like, which comes before an answer and is no part of it?"""
    return kind_of(message).startswith("codex.")
