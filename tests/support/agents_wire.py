"""What a model says to a real agent: words, or a call of a shell tool, in the frames of each API.

`answer("anthropic", words="Hello")`, `answer("responses", call=("exec_command", {"cmd": "ls"}))`. Every answer reports
the same usage, `INPUT` and `OUTPUT`, so that what the history holds can be told from the number of turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, overload

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step

type Call = tuple[str, Mapping[str, Any]]

MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "responses": "gpt-5",
    "chat": "gpt-4.1",
    "gemini": "gemini-2.5-flash",
}
"""One with a known price for each API."""
INPUT, OUTPUT = 1_200, 34
_numbers = count(1)


def answer(api: str, words: str = "", call: Call | None = None, **step: Any) -> Step:
    """A step that streams it; `step` are more of its fields."""
    return Step(events=frames(api, words, call), **step)


def frames(api: str, words: str = "", call: Call | None = None) -> list[bytes]:
    """The events of one answer."""
    make = {"anthropic": _anthropic, "responses": _responses, "chat": _chat, "gemini": _gemini}[api]
    return list(make(f"{next(_numbers):08d}", words, call))


class InTurn(Sequence[bytes]):
    """As the events of a WebSocket's step, which answers each of its messages: another answer whenever it is read."""

    def __init__(self, *answers: list[bytes]) -> None:
        self._answers, self._next = answers, 0

    def __iter__(self) -> Iterator[bytes]:
        found = self._answers[min(self._next, len(self._answers) - 1)]
        self._next += 1
        return iter(found)

    def __len__(self) -> int:
        return len(self._answers[0])

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return self._answers[0][index]


def _pieces(text: str) -> list[str]:
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def _anthropic(number: str, words: str, call: Call | None) -> Iterator[bytes]:
    def event(kind: str, **fields: object) -> bytes:
        return sse({"type": kind, **fields}, kind)

    usage = {"input_tokens": INPUT, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODELS["anthropic"]}
    ending = {"stop_reason": None, "stop_sequence": None, "usage": usage}
    yield event("message_start", message={**message, "content": [], **ending})
    if call:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": call[0], "input": {}}
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(json.dumps(call[1]))]
    else:
        block = {"type": "text", "text": ""}
        pieces = [{"type": "text_delta", "text": piece} for piece in _pieces(words)]
    yield event("content_block_start", index=0, content_block=block)
    for piece in pieces:
        yield event("content_block_delta", index=0, delta=piece)
    yield event("content_block_stop", index=0)
    stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=stop, usage={**usage, "output_tokens": OUTPUT})
    yield event("message_stop")


def _responses(number: str, words: str, call: Call | None) -> Iterator[bytes]:
    numbers = count()

    def event(kind: str, **fields: object) -> bytes:
        return sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    def response(status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        about = {"id": f"resp_{number}", "object": "response", "created_at": 1760000000, "model": MODELS["responses"]}
        fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "metadata": {}}
        more = {"incomplete_details": None, "instructions": None}
        return {**about, "status": status, "output": output, **fixed, **more, "usage": usage}

    yield event("response.created", response=response("in_progress", []))
    if call:
        item = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "name": call[0]}
        text = json.dumps(call[1])
        place: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
        begun = {**item, "status": "in_progress", "arguments": ""}
        yield event("response.output_item.added", output_index=0, item=begun)
        for piece in _pieces(text):
            yield event("response.function_call_arguments.delta", **place, delta=piece)
        yield event("response.function_call_arguments.done", **place, arguments=text)
        done: dict[str, Any] = {**item, "status": "completed", "arguments": text}
    else:
        item = {"id": f"msg_{number}", "type": "message", "role": "assistant"}
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        whole = {"type": "output_text", "text": words, "annotations": [], "logprobs": []}
        yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
        yield event("response.content_part.added", **place, part={**whole, "text": ""})
        for piece in _pieces(words):
            yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
        yield event("response.output_text.done", **place, text=words, logprobs=[])
        yield event("response.content_part.done", **place, part=whole)
        done = {**item, "status": "completed", "content": [whole]}
    yield event("response.output_item.done", output_index=0, item=done)
    usage = {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT + OUTPUT,
    }
    yield event("response.completed", response=response("completed", [done], usage))


def _chat(number: str, words: str, call: Call | None) -> Iterator[bytes]:
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1760000000}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse({**head, "model": MODELS["chat"], "choices": [choice]})

    yield chunk({"role": "assistant", "content": None if call else ""})
    if call:
        function = {"name": call[0], "arguments": ""}
        yield chunk({"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]})
        for piece in _pieces(json.dumps(call[1])):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    for piece in _pieces(words):
        yield chunk({"content": piece})
    yield chunk({}, "tool_calls" if call else "stop")
    usage = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    yield sse({**head, "model": MODELS["chat"], "choices": [], "usage": usage})
    yield sse("[DONE]")


def _gemini(number: str, words: str, call: Call | None) -> Iterator[bytes]:
    parts: list[dict[str, Any]] = [{"text": piece} for piece in _pieces(words)]
    if call:
        parts.append({"functionCall": {"name": call[0], "args": call[1]}, "thoughtSignature": "c2lnbmVk"})
    for index, part in enumerate(parts):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        chunk: dict[str, Any] = {"candidates": [candidate], "modelVersion": MODELS["gemini"], "responseId": number}
        if index == len(parts) - 1:
            candidate["finishReason"] = "STOP"
            counts = {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT}
            chunk["usageMetadata"] = counts
        yield sse(chunk)
