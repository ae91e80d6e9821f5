"""How the API tells that something is wrong: RFC 9457, in answers and in its own description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `detail` is for people: what is wrong and what helps.",
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "additionalProperties": True,
}


class Problem(Response):
    """A problem document."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        title: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        told = {"title": title or HTTPStatus(status).phrase, "status": status, "detail": detail}
        body = json.dumps({**(more or {}), **told}, default=str).encode()
        super().__init__(body, status, dict(headers or {}))


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document in which every answer that is no success is a problem document."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    schemas["Problem"] = SCHEMA
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            answers = operation["responses"]
            for status, answer in answers.items():
                if status >= "4":
                    answer["content"] = content
            if "422" in answers:
                answers["422"]["description"] = "What was asked cannot be understood."
            answers.setdefault("default", {"description": "Any other problem.", "content": content})
    return document
