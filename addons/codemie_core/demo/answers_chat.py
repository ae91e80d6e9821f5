"""The OpenAI Chat Completions API, and the error shape of all OpenAI paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from codemie_core.demo.dialect import Ask, reason
from codemie_core.demo.frames import sse

CREATED = 1760000000
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def openai_error(status: int) -> dict[str, Any]:
    """Return `{"error": {...}}` as OpenAI answers it."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": reason(status), "type": kind, "param": None, "code": None}}


class OpenAIChat:
    """`POST /v1/chat/completions`: role, the deltas, finish, usage when asked for, `[DONE]`."""

    def stream(self, ask: Ask, deltas: Iterator[str]) -> Iterator[bytes]:
        yield self._chunk(ask, {"role": "assistant", "content": ""})
        count = 0
        for count, text in enumerate(deltas, 1):  # noqa: B007 (the count is the usage reported below)
            yield self._chunk(ask, {"content": text})
        yield self._chunk(ask, {}, "stop")
        if ask.include_usage:
            yield sse({**_head(ask, "chat.completion.chunk"), "choices": [], "usage": _usage(ask, count)})
        yield sse("[DONE]")

    def whole(self, ask: Ask, text: str) -> Mapping[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = _usage(ask, len(text.split(" ")))
        return {**_head(ask, "chat.completion"), "choices": [choice], "usage": usage}

    def error(self, status: int) -> Mapping[str, Any]:
        return openai_error(status)

    def error_event(self) -> bytes:
        return sse(openai_error(503))

    @staticmethod
    def _chunk(ask: Ask, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse({**_head(ask, "chat.completion.chunk"), "choices": [choice]})


def _head(ask: Ask, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-demo{ask.serial:08d}", "object": kind, "created": CREATED, "model": ask.model}


def _usage(ask: Ask, output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": ask.input_tokens + output_tokens,
    }
