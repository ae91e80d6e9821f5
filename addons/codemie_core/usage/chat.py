"""Reads answers of OpenAI's Chat Completions API, which many others speak.

https://platform.openai.com/docs/api-reference/chat-streaming: with `include_usage` the last chunk has the usage and no
choices; OpenAI counts cached tokens within `prompt_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping

from codemie_core.json_text import loads
from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.draft import Draft
from codemie_core.usage.json_values import count, error_kind, plain_length, rows, table, text, word
from codemie_core.usage.openai_counts import OpenAiCounts

_DELTA = '"delta":'
_CONTENT = '"delta":{"content":"'
_ENDING = '"}'
_USAGE = '"usage":{'
_NO_END = '"finish_reason":null'


class ChatReader:
    """One answer."""

    def __init__(self) -> None:
        self._draft = Draft[tuple[int, int, str]]()
        self._counts = OpenAiCounts()
        self._keys: dict[tuple[int, int], tuple[int, int, str]] = {}
        """The call that a number stands for: the latest that bore it."""

    def feed(self, event: SseEvent, at_ms: float) -> None:
        """One chunk of the stream."""
        draft, data = self._draft, event.data
        draft.events += 1
        if draft.response_id and draft.model and (length := _only_content(data)) >= 0:
            if length:
                draft.text_chars += length
                draft.token(at_ms)
        elif data == "[DONE]":
            draft.complete = True
        else:
            self._take(table(loads(data)), at_ms, event.event == "error")

    def whole(self, body: object) -> None:
        """A completion that was not streamed."""
        completion = table(body)
        self._take(completion, None, False)
        self._draft.complete = bool(completion) and not self._draft.error

    def answer(self) -> Answer:
        """What has been seen so far."""
        return self._draft.answer(self._counts.usage())

    def _take(self, chunk: Mapping[str, object], at_ms: float | None, named_error: bool) -> None:
        draft = self._draft
        draft.named(chunk.get("model"), chunk.get("id"))
        if named_error or chunk.get("error"):
            draft.error = error_kind(chunk) or "error"
        # Groq has the usage of a stream under a name of its own.
        for holder in (chunk, table(chunk.get("x_groq"))):
            self._counts.take(table(holder.get("usage")))
        self._counts.served_as(chunk.get("service_tier"))
        for choice in rows(chunk.get("choices")):
            self._choice(table(choice), at_ms)

    def _choice(self, choice: Mapping[str, object], at_ms: float | None) -> None:
        draft, number = self._draft, count(choice.get("index")) or 0
        # Moonshot has the usage of a stream in its last choice.
        self._counts.take(table(choice.get("usage")))
        said = table(choice.get("delta")) or table(choice.get("message"))
        words, refusal = text(said.get("content")), text(said.get("refusal"))
        draft.text_chars += len(words) + len(refusal)
        draft.refusal = draft.refusal or bool(refusal)
        reasoning = text(said.get("reasoning_content")) or text(said.get("reasoning"))
        calls = [table(each) for each in rows(said.get("tool_calls"))]
        for place, each in enumerate(calls):
            self._call(number, count(each.get("index")), place, each)
        if words or refusal or reasoning or calls:
            draft.token(at_ms)
        if reason := word(choice.get("finish_reason")):
            draft.stop_reason = reason
            draft.refusal = draft.refusal or reason == "content_filter"
            self._end_calls(number)

    def _call(self, choice: int, index: int | None, place: int, said: Mapping[str, object]) -> None:
        # Whole messages number their calls by their order; some gateways leave the number out of chunks, too, or give
        # all calls the same: then a new id begins a new call.
        number = (choice, place if index is None else index)
        key, id_ = self._keys.get(number), word(said.get("id"))
        if key is None or (id_ and key[2] and id_ != key[2]):
            key = (*number, id_)
        if call := self._draft.call(key):
            self._keys[number] = key
            function = table(said.get("function")) or table(said.get("custom"))
            call.named(id_, function.get("name"))
            call.add(text(function.get("arguments")) or text(function.get("input")))

    def _end_calls(self, choice: int) -> None:
        for key, call in self._draft.calls():
            call.ended = call.ended or key[0] == choice


def _only_content(data: str) -> int:
    """Characters of a chunk that has nothing but text of one choice to say; -1 for any other."""
    place = data.find(_DELTA)
    if _NO_END not in data or _USAGE in data or data.find(_DELTA, place + 1) >= 0:
        return -1
    return plain_length(data, _CONTENT, _ENDING)
