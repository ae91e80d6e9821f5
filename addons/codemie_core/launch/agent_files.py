"""Reads files of agents. One that cannot be read or understood says nothing: the agent itself will complain."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codemie_core.settings import MAX_FILE_SIZE

# Text in quotes stays; the comma before a closing bracket goes when comments are gone.
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)
_ASSIGNED = re.compile(
    r"""^\s*(?:export\s+)?([\w.-]+)[ \t]*[=:][ \t]*(?:'([^']*)'|"([^"]*)"|([^#\n]*))""", re.MULTILINE
)


def read_json(file: Path) -> Mapping[str, Any]:
    """An object, with comments and commas behind the last item."""
    return json_object(_text(file))


def json_object(text: str) -> Mapping[str, Any]:
    """The same of a text."""
    try:
        for beyond in (_COMMENT, _LAST_COMMA):
            text = beyond.sub(lambda match: match[1] or "", text)
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_toml(file: Path) -> Mapping[str, Any]:
    """A document."""
    try:
        return tomllib.loads(_text(file))
    except (ValueError, RecursionError):
        return {}


def read_assignments(file: Path) -> Mapping[str, str]:
    """A `.env`."""
    return {name: (one or two or bare).strip() for name, one, two, bare in _ASSIGNED.findall(_text(file))}


def inside(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The object behind these keys; {} when there is none."""
    for key in keys:
        found = document.get(key)
        if not isinstance(found, dict):
            return {}
        document = found
    return document


def _text(file: Path) -> str:
    try:
        if not file.is_file() or file.stat().st_size > MAX_FILE_SIZE * 16:
            return ""
        return file.read_text("utf-8-sig", "replace")
    except OSError:
        return ""
