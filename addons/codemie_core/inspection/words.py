"""Small helpers of those who read bodies: JSON as text, media as a note. Nothing here raises."""

from __future__ import annotations

import json
from collections.abc import Iterator

from codemie_core.inspection.talk import Kind, Part
from codemie_core.usage.json_values import rows, table, text

SEALED = "(the provider sent it sealed)"


def said(kind: Kind, words: str) -> Iterator[Part]:
    """A part, unless there are no words."""
    if words:
        yield Part(kind, words)


def as_text(value: object) -> str:
    """A string as it is, nothing as "", anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""


def joined(content: object) -> str:
    """The text of a content that is a string or a list of parts; what is no text is named."""
    if not isinstance(content, list):
        return as_text(content)
    return "\n".join(text(part.get("text")) or _named(part) for part in map(table, rows(content)))


def media(kind: str, media_type: str, data: str) -> Part:
    """An image, a document, a sound: what it is and how large, never what it shows."""
    size = f", {len(data) * 3 // 4:,} bytes" if data else ""
    return Part(Kind.MEDIA, f"{media_type or kind or 'media'}{size}")


def _named(part: object) -> str:
    kind = text(table(part).get("type"))
    return f"[{kind}]" if kind and kind != "text" else ""
