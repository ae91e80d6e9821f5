"""Asking for another model: only the model's name changes, every other byte of the request stays."""

from __future__ import annotations

import json
import re

_MODEL_PATH = re.compile(r"(/models/)[^/:?]{1,200}(:)")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_VALUE = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.)*")')


def with_model(raw: bytes, path: str, model: str) -> tuple[bytes, str] | None:
    """The body and the path that ask for `model`; None when the request names none where we can change it.

    Gemini has it in the path, all others in the JSON body's own `model`. A compressed body stays as it is: None.
    """
    if _MODEL_PATH.search(path):
        return raw, _MODEL_PATH.sub(lambda match: f"{match[1]}{model}{match[2]}", path, count=1)
    span = _span_of_model(raw)
    if span is None:
        return None
    return raw[: span[0]] + json.dumps(model).encode() + raw[span[1] :], path


def _span_of_model(raw: bytes) -> tuple[int, int] | None:
    """Where the value of the outermost object's `model` is."""
    if not raw.lstrip().startswith(b"{"):
        return None
    depth = 0
    for token in _TOKEN.finditer(raw):
        first = token[0][:1]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"model"' and (value := _VALUE.match(raw, token.end())):
            return value.span(1)
    return None
