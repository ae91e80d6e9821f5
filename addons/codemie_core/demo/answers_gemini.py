"""The Gemini API: `:generateContent` and `:streamGenerateContent?alt=sse`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from codemie_core.demo.dialect import Ask, reason
from codemie_core.demo.frames import sse

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini:
    """One frame per delta; the last one finishes and counts."""

    def stream(self, ask: Ask, deltas: Iterator[str]) -> Iterator[bytes]:
        text, count = next(deltas, ""), 1
        for following in deltas:
            yield sse(_answer(ask, text))
            text, count = following, count + 1
        yield sse(_answer(ask, text, count))

    def whole(self, ask: Ask, text: str) -> Mapping[str, Any]:
        return _answer(ask, text, len(text.split(" ")))

    def error(self, status: int) -> Mapping[str, Any]:
        name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
        return {"error": {"code": status, "message": reason(status), "status": name}}

    def error_event(self) -> bytes:
        return sse(self.error(503))


def _answer(ask: Ask, text: str, tokens: int | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    answer: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": ask.model,
        "responseId": f"demo{ask.serial:08d}",
    }
    if tokens is not None:
        candidate["finishReason"] = "STOP"
        answer["usageMetadata"] = {
            "promptTokenCount": ask.input_tokens,
            "candidatesTokenCount": tokens,
            "totalTokenCount": ask.input_tokens + tokens,
        }
    return answer
