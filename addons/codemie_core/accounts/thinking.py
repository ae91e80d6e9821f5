"""Thinking blocks whose signature another account rejects: told from the error, and left out once.

Anthropic signs the thinking of its models and checks it when it comes back; on newer models it is bound to model and
conversation too. An account elsewhere, or a fallback model, may answer "Invalid `signature` in `thinking` block". Only
then, and never in advance: with the signatures in place the conversation keeps its prompt cache and the model its
thoughts.

All blocks go, not only the one that the error names: where blocks are bound to what stands before them, the rest would
be refused next. What is left has been seen to be accepted everywhere (NousResearch/hermes-agent#24107,
pydantic/pydantic-ai#7984), but for one case: in the middle of a tool loop, with manual thinking (`enabled`), an older
API demands that the newest turn begins with thinking and names the way out itself: "To avoid this requirement, disable
`thinking`" (anomalyco/opencode#3077). So there it is off for this one request, and with it the strategy of
`context_management` that requires it (anthropics/claude-code#11690). Adaptive thinking has no such rule, and newer
models refuse to have it turned off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from codemie_core.accounts.spans import Part, cuts, only, parts, whole, without

# Gateways wrap the error into text: quotes may be escaped, backticks be missing.
_REJECTED = re.compile(
    rb"invalid\W+(signature|data)\W+in\W+(redacted_)?thinking\W+block"
    rb"|redacted_thinking\W+blocks\W+in\W+the\W+latest\W+assistant\W+message\W+cannot\W+be\W+modified",
    re.IGNORECASE,
)
_LONGEST_ERROR = 64 * 1024
_THINKING = frozenset({"thinking", "redacted_thinking"})


def rejected_signature(status: int, body: bytes) -> bool:
    """Does this error say that earlier thinking is not accepted? The API says 400, some gateways make it a 429."""
    return 400 <= status < 500 and _REJECTED.search(body, 0, _LONGEST_ERROR) is not None


def without_thinking(raw: bytes) -> bytes | None:
    """The request without the thinking of earlier turns; None when there is none in it, or it is not plain JSON.

    Everything else keeps its bytes. A turn of nothing but thinking goes as a whole: none may be empty.
    """
    try:
        text = raw.decode()
        request = whole(text)
        messages = only(text, request, "messages") if isinstance(request.value, dict) else None
        if messages is None or not isinstance(messages.value, list):
            return None
        spans, broken_loop = _thoughts(text, parts(text, messages))
        if not spans:
            return None
        if broken_loop:
            spans += _manual_thinking(text, request)
    except (ValueError, RecursionError):
        return None
    return without(text, spans).encode()


def _thoughts(text: str, messages: list[Part]) -> tuple[list[tuple[int, int]], bool]:
    """Where the thinking is, and whether some of it belongs to a tool loop that still runs."""
    loop_begins = _begin_of_loop([message.value for message in messages])
    spans: list[tuple[int, int]] = []
    gone: set[int] = set()
    broken_loop = False
    for number, message in enumerate(messages):
        blocks = _blocks(text, message)
        dropped = {place for place, block in enumerate(blocks) if _type(block.value) in _THINKING}
        if not dropped:
            continue
        broken_loop = broken_loop or number >= loop_begins
        if len(dropped) == len(blocks):
            gone.add(number)
        else:
            spans += cuts(blocks, dropped)
    return spans + (cuts(messages, gone) if gone else []), broken_loop


def _blocks(text: str, message: Part) -> list[Part]:
    if not isinstance(message.value, dict) or message.value.get("role") != "assistant":
        return []
    content = only(text, message, "content")
    return parts(text, content) if content is not None and isinstance(content.value, list) else []


def _begin_of_loop(messages: list[Any]) -> int:
    """The number of the first message after the last one of a person, if tool results come last; else behind all."""
    begin, results = len(messages), False
    for number in range(len(messages) - 1, -1, -1):
        role = messages[number].get("role") if isinstance(messages[number], dict) else None
        if role == "user":
            if not _has_results(messages[number]):
                break
            results = True
        elif role == "assistant":
            if not results:
                break
            begin = number
    return begin


def _has_results(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(_type(block) == "tool_result" for block in content)


def _manual_thinking(text: str, request: Part) -> Iterator[tuple[int, int]]:
    """Where thinking is asked for by hand, and what requires it."""
    members = parts(text, request)
    thinking = [place for place, member in enumerate(members) if member.key == "thinking"]
    if not any(_type(members[place].value) == "enabled" for place in thinking):
        return
    dropped = set(thinking)
    context = only(text, request, "context_management")
    edits = only(text, context, "edits") if context is not None and isinstance(context.value, dict) else None
    if edits is not None and isinstance(edits.value, list):
        listed = parts(text, edits)
        clearing = {place for place, edit in enumerate(listed) if "thinking" in _type(edit.value)}
        if clearing and len(clearing) == len(listed):
            dropped |= {place for place, member in enumerate(members) if member.key == "context_management"}
        else:
            yield from cuts(listed, clearing)
    yield from cuts(members, dropped)


def _type(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else ""
