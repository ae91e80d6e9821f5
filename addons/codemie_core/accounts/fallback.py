"""Asking for another model: only the model's name changes, every other byte of the request stays."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from codemie_core.accounts.spans import only, whole

_MODEL_IN_PATH = re.compile(r"(/models/)[^/:]{1,200}(:\w+)$", re.ASCII)


def with_model(raw: bytes, path: str, model: str) -> tuple[bytes, str] | None:
    """The body and the path that ask for `model`; None when the request names none where we can change it.

    Gemini has it in the path, all others in the JSON body's own `model`. A compressed body stays as it is: None.
    """
    place, mark, query = path.partition("?")
    if match := _MODEL_IN_PATH.search(place):
        return raw, f"{place[: match.end(1)]}{quote(model, safe='@')}{match[2]}{mark}{query}"
    try:
        text = raw.decode()
        request = whole(text)
        member = only(text, request, "model") if isinstance(request.value, dict) else None
    except (ValueError, RecursionError):
        return None
    if member is None or not isinstance(member.value, str):
        return None
    return f"{text[: member.at]}{json.dumps(model)}{text[member.end :]}".encode(), path
