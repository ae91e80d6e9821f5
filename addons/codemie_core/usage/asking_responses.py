"""Requests of OpenAI's Responses API, and the messages of its WebSocket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.injected import is_own_business
from codemie_core.usage.json_values import rows, table, text, word
from codemie_core.usage.outcomes import outcome_of
from codemie_core.usage.surroundings import surroundings
from codemie_core.usage.trail import Entry, Trail, last_turn

_MEDIA = frozenset({"input_image", "input_file", "input_audio"})
_BY_MODEL = frozenset({"reasoning", "item_reference", "compaction", "mcp_list_tools", "mcp_approval_request"})
_FIRST_ITEMS = 6
_CODEX_NOTES = "internal_chat_message_metadata_passthrough"
_ENVIRONMENT = "<environment_context>"


def asked_of_responses(path: str, body: Mapping[str, object]) -> Asked:
    """With `previous_response_id` only what is new is there, and it is the last turn."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else rows(given)
    turn, before = last_turn(items, _is_by_model)
    trail, place = Trail(), f"{word(body.get('previous_response_id'))}:{before}"
    for item in turn:
        kind = text(item.get("type"))
        if kind.endswith("_output"):
            id_ = word(item.get("call_id")) or word(item.get("id"))
            trail.result(ToolResult(id_, word(item.get("name")), outcome_of(item)))
        elif item.get("role") == "user":
            _read(trail, item)
            # Codex gives each prompt an id, which stays when it is sent again some other way.
            place = word(item.get("id")) or place
    system = [text(body.get("instructions")), *_system(items)]
    return trail.asked(
        word(body.get("model")),
        body.get("stream") is True or body.get("type") == "response.create",
        place,
        side=body.get("generate") is False or _compacts(path) or is_own_business(system),
        at=surroundings([*_environments(items), *system]),
    )


def _read(trail: Trail, item: Entry) -> None:
    content = item.get("content")
    if isinstance(content, str):
        trail.text(content)
    parts = rows(content)
    kinds = rows(table(item.get(_CODEX_NOTES)).get("content_item_kinds"))
    for index, part in enumerate(map(table, parts)):
        persons = len(kinds) != len(parts) or text(kinds[index]).startswith("user.")
        if part.get("type") not in _MEDIA:
            trail.text(text(part.get("text")), persons)
        elif persons:
            trail.media()


def _is_by_model(item: Entry) -> bool:
    kind = text(item.get("type"))
    return item.get("role") == "assistant" or kind.endswith("_call") or kind in _BY_MODEL


def _compacts(path: str) -> bool:
    return path.partition("?")[0].rstrip("/").endswith("/compact")


def _system(items: object) -> Iterator[str]:
    for item in map(table, rows(items)[:_FIRST_ITEMS]):
        if item.get("role") in ("developer", "system"):
            yield from _texts(item)


def _environments(items: object) -> Iterator[str]:
    """What Codex tells of its surroundings, the newest first: it tells them again when they change."""
    for item in map(table, reversed(rows(items))):
        if item.get("role") == "user":
            for each in _texts(item):
                if each.startswith(_ENVIRONMENT):
                    yield each


def _texts(item: Entry) -> Iterator[str]:
    content = item.get("content")
    if isinstance(content, str):
        yield content
    for part in map(table, rows(content)):
        yield text(part.get("text"))
