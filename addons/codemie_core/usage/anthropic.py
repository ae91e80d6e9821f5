"""Reads answers of Anthropic's Messages API.

https://docs.anthropic.com/en/docs/build-with-claude/streaming: counts are cumulative, `message_delta` may repeat all of
them; what is cached is counted beside `input_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from itertools import islice

from codemie_core.json_text import loads
from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.draft import Draft
from codemie_core.usage.json_values import count, error_kind, plain_length, rows, table, text, word, written
from codemie_core.usage.usage import UNKNOWN, Usage

_DELTA = '{"type":"content_block_delta"'
_TEXT = '"delta":{"type":"text_delta","text":"'
_THINKING = '"delta":{"type":"thinking_delta","thinking":"'
_ENDING = '"}'
_MOST_TOOLS = 32


class AnthropicReader:
    """One answer."""

    def __init__(self) -> None:
        self._draft = Draft[int | None]()
        self._usage = UNKNOWN
        self._compactions = UNKNOWN
        self._announced: dict[int | None, Mapping[str, object]] = {}
        """The arguments that open tool calls were announced with, by block."""

    def feed(self, event: SseEvent, at_ms: float) -> None:
        """One event of the stream."""
        draft, data, name = self._draft, event.data, event.event
        draft.events += 1
        if data.startswith(_DELTA):
            if (length := plain_length(data, _TEXT, _ENDING)) >= 0:
                if length:
                    draft.text_chars += length
                    draft.token(at_ms)
                return
            if (length := plain_length(data, _THINKING, _ENDING)) >= 0:
                if length:
                    draft.token(at_ms)
                return
        elif name == "ping" or (name == "content_block_stop" and not self._announced):
            return
        body = table(loads(data))
        self._take(text(body.get("type")) or name, body, at_ms)

    def whole(self, body: object) -> None:
        """A message that was not streamed."""
        message = table(body)
        if text(message.get("type")) == "error" or table(message.get("error")):
            self._draft.error = error_kind(message) or "error"
        elif message:
            self._begin(message)
            for index, block in enumerate(rows(message.get("content"))):
                self._block(index, table(block), None)
            self._end_calls()
            self._stop(message)
            self._draft.complete = True

    def answer(self) -> Answer:
        """What has been seen so far."""
        return self._draft.answer(_sum(self._usage, self._compactions))

    def _take(self, kind: str, body: Mapping[str, object], at_ms: float) -> None:
        match kind:
            case "content_block_delta":
                self._delta(count(body.get("index")), table(body.get("delta")), at_ms)
            case "content_block_start":
                self._block(count(body.get("index")), table(body.get("content_block")), at_ms)
            case "content_block_stop":
                self._end_call(count(body.get("index")))
            case "message_start":
                message = table(body.get("message"))
                self._begin(message)
                self._stop(message)
            case "message_delta":
                self._stop(table(body.get("delta")))
                self._count(table(body.get("usage")))
            case "message_stop":
                self._end_calls()
                self._draft.complete = True
            case "error":
                self._draft.error = error_kind(body) or "error"

    def _begin(self, message: Mapping[str, object]) -> None:
        self._draft.named(message.get("model"), message.get("id"))
        self._count(table(message.get("usage")))

    def _stop(self, said: Mapping[str, object]) -> None:
        if reason := word(said.get("stop_reason")):
            self._draft.stop_reason = reason
            self._draft.refusal = reason == "refusal"

    def _block(self, index: int | None, block: Mapping[str, object], at_ms: float | None) -> None:
        draft, kind, words = self._draft, text(block.get("type")), text(block.get("text"))
        draft.text_chars += len(words)
        if kind == "tool_use" and (call := draft.call(index)):
            call.named(block.get("id"), block.get("name"))
            self._announced[index] = table(block.get("input"))
        if words or text(block.get("thinking")) or kind == "redacted_thinking" or kind.endswith("tool_use"):
            draft.token(at_ms)

    def _delta(self, index: int | None, delta: Mapping[str, object], at_ms: float) -> None:
        words, arguments = text(delta.get("text")), text(delta.get("partial_json"))
        self._draft.text_chars += len(words)
        if call := self._draft.known_call(index):
            call.add(arguments)
        if words or arguments or text(delta.get("thinking")):
            self._draft.token(at_ms)

    def _end_call(self, index: int | None) -> None:
        """Its block has ended. What was announced is {} and the arguments came in pieces, or it is all there is."""
        announced = self._announced.pop(index, None)
        call = self._draft.known_call(index)
        if call is not None and announced is not None:
            if call.empty:
                call.add(written(announced))
            call.ended = True

    def _end_calls(self) -> None:
        for index in list(self._announced):
            self._end_call(index)

    def _count(self, usage: Mapping[str, object]) -> None:
        self._usage = self._usage.merged(_usage(usage))
        if turns := [table(each) for each in rows(usage.get("iterations"))]:
            # https://docs.anthropic.com/en/docs/build-with-claude/compaction: billed, and in no other count.
            compactions = [_usage(each) for each in turns if each.get("type") == "compaction"]
            self._compactions = reduce(_sum, compactions) if compactions else UNKNOWN
            for each in turns:
                if each.get("type") == "fallback_message":
                    self._draft.model = word(each.get("model")) or self._draft.model


def _usage(said: Mapping[str, object]) -> Usage:
    split = table(said.get("cache_creation"))
    minutes, hour = count(split.get("ephemeral_5m_input_tokens")), count(split.get("ephemeral_1h_input_tokens"))
    kept = count(said.get("cache_creation_input_tokens"))
    if kept is None and minutes is not None and hour is not None:
        kept = minutes + hour
    tier = "fast" if said.get("speed") == "fast" else word(said.get("service_tier"))
    return Usage(
        input=count(said.get("input_tokens")),
        cache_read=count(said.get("cache_read_input_tokens")),
        cache_write=kept,
        cache_write_1h=hour,
        output=count(said.get("output_tokens")),
        reasoning=count(table(said.get("output_tokens_details")).get("thinking_tokens")),
        server_tools=_server_tools(table(said.get("server_tool_use"))),
        tier="" if tier == "standard" else tier,
    )


def _server_tools(said: Mapping[str, object]) -> Mapping[str, int]:
    """web_search_requests: 2 is {"web_search": 2}; what was not called is not there."""
    counts = ((word(name).removesuffix("_requests"), count(value)) for name, value in islice(said.items(), _MOST_TOOLS))
    return {name: number for name, number in counts if name and number}


def _sum(one: Usage, other: Usage) -> Usage:
    """The tokens of both; what one of them does not know is the other's."""
    return replace(
        one,
        input=_plus(one.input, other.input),
        cache_read=_plus(one.cache_read, other.cache_read),
        cache_write=_plus(one.cache_write, other.cache_write),
        cache_write_1h=_plus(one.cache_write_1h, other.cache_write_1h),
        output=_plus(one.output, other.output),
    )


def _plus(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else count(one + other)
