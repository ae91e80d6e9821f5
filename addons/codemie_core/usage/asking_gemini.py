"""Requests of Gemini's generateContent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.injected import is_own_business
from codemie_core.usage.json_values import rows, table, text, word
from codemie_core.usage.surroundings import surroundings
from codemie_core.usage.trail import Entry, Trail, digest, last_turn

_MODEL = re.compile(r"/(?:models|tunedModels)/([^/?:]+)")
_STREAM = ":streamGenerateContent"
_OF_THE_CLI = "This is the Gemini CLI."
_MEDIA = ("inlineData", "fileData", "inline_data", "file_data")
_FIRST_CONTENTS = 2


def asked_of_gemini(path: str, body: Mapping[str, object]) -> Asked:
    """The model and the stream are in the path."""
    contents = _list(body.get("contents"))
    turn, before = last_turn(contents, lambda content: content.get("role") == "model")
    trail = Trail()
    for content in turn:
        for part in _parts(content):
            _read(trail, part)
    system = list(_texts(table(body.get("systemInstruction") or body.get("system_instruction"))))
    head = [each for content in map(table, contents[:_FIRST_CONTENTS]) for each in _texts(content)]
    # Gemini CLI does not say which conversation it is in, but each begins with the day and the folder.
    place = f"{before}:{digest(head[0]) if head else ''}"
    by_cli = any(_OF_THE_CLI in each[:200] for each in head)
    model = _MODEL.search(path)
    return trail.asked(
        word(model[1]) if model else "",
        _STREAM in path,
        place,
        # Its router, its summaries and its checks bring no tools, its turns always do.
        side=(by_cli and not body.get("tools")) or is_own_business(system),
        at=surroundings([*head, *system]),
    )


def _read(trail: Trail, part: Mapping[str, object]) -> None:
    if response := part.get("functionResponse") or part.get("function_response"):
        said = table(response)
        went_well = "error" not in table(said.get("response"))
        trail.result(ToolResult(word(said.get("id")), word(said.get("name")), went_well))
    elif any(part.get(name) for name in _MEDIA):
        trail.media()
    elif part.get("thought") is not True:
        trail.text(text(part.get("text")))


def _list(value: object) -> list[object]:
    """The API takes one content for a list of one."""
    return [value] if isinstance(value, dict) else list(rows(value))


def _parts(content: Entry) -> Iterator[Mapping[str, object]]:
    return map(table, _list(content.get("parts")))


def _texts(content: Entry) -> Iterator[str]:
    for part in _parts(content):
        yield text(part.get("text"))
