"""The Anthropic Messages API, as https://docs.claude.com/en/api/messages-streaming describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from codemie_core.demo.dialect import Ask, reason
from codemie_core.demo.frames import PING, dumps, sse

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """`POST /v1/messages`: three frames, the deltas, three frames."""

    def stream(self, ask: Ask, deltas: Iterator[str]) -> Iterator[bytes]:
        message = self._message(ask, [], None, 1)
        yield _event("message_start", message=message)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield PING
        count = 0
        for count, text in enumerate(deltas, 1):  # noqa: B007 (the count is the usage reported below)
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        yield _event("content_block_stop", index=0)
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        yield _event("message_delta", delta=end, usage=_usage(ask, count))
        yield _event("message_stop")

    def whole(self, ask: Ask, text: str) -> Mapping[str, Any]:
        return self._message(ask, [{"type": "text", "text": text}], "end_turn", len(text.split(" ")))

    def error(self, status: int) -> Mapping[str, Any]:
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": reason(status)}}

    def error_event(self) -> bytes:
        return sse(dumps(self.error(529)), "error")

    @staticmethod
    def _message(ask: Ask, content: list[dict[str, Any]], stop_reason: str | None, tokens: int) -> dict[str, Any]:
        return {
            "id": f"msg_demo{ask.serial:08d}",
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": _usage(ask, tokens),
        }


def _event(kind: str, **fields: object) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _usage(ask: Ask, output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": ask.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }
