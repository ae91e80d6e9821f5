"""The OpenAI Responses API, over SSE and as WebSocket messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from codemie_core.demo.answers_chat import CREATED, openai_error
from codemie_core.demo.dialect import Ask, reason
from codemie_core.demo.frames import sse


class OpenAIResponses:
    """`POST /v1/responses`: four frames, the deltas, four frames, numbered in sequence."""

    def stream(self, ask: Ask, deltas: Iterator[str]) -> Iterator[bytes]:
        numbers = count()
        place = {"item_id": _item_id(ask), "output_index": 0, "content_index": 0}

        def event(kind: str, **fields: object) -> bytes:
            return sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

        yield event("response.created", response=_response(ask, "in_progress", []))
        yield event("response.in_progress", response=_response(ask, "in_progress", []))
        yield event("response.output_item.added", output_index=0, item=_item(ask, "in_progress", []))
        yield event("response.content_part.added", **place, part=_part(""))
        said = []
        for text in deltas:
            said.append(text)
            yield event("response.output_text.delta", **place, delta=text, logprobs=[])
        whole = "".join(said)
        item = _item(ask, "completed", [_part(whole)])
        yield event("response.output_text.done", **place, text=whole, logprobs=[])
        yield event("response.content_part.done", **place, part=_part(whole))
        yield event("response.output_item.done", output_index=0, item=item)
        yield event("response.completed", response=_response(ask, "completed", [item], len(said)))

    def whole(self, ask: Ask, text: str) -> Mapping[str, Any]:
        item = _item(ask, "completed", [_part(text)])
        return _response(ask, "completed", [item], len(text.split(" ")))

    def error(self, status: int) -> Mapping[str, Any]:
        return openai_error(status)

    def error_event(self) -> bytes:
        failure = {"code": "server_is_overloaded", "message": reason(503), "param": None}
        return sse({"type": "error", "sequence_number": 0, **failure}, "error")


def _item_id(ask: Ask) -> str:
    return f"msg_demo{ask.serial:08d}"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(ask: Ask, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": _item_id(ask),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _response(ask: Ask, status: str, output: list[dict[str, Any]], tokens: int | None = None) -> dict[str, Any]:
    return {
        "id": f"resp_demo{ask.serial:08d}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "usage": None if tokens is None else _usage(ask, tokens),
    }


def _usage(ask: Ask, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": ask.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.input_tokens + output_tokens,
    }
