"""Anthropic Messages: https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.usage import Usage
from support.streams import Rates, Shape, Tape, dumps, pieces

API = "anthropic"
SONNET, OPUS, HAIKU = "claude-sonnet-4-5-20250929", "claude-opus-4-8", "claude-haiku-4-5-20251001"
SONNET_RATES = Rates(
    input="3", output="15", cache_read="0.30", cache_write="3.75", cache_write_1h="6", web_search="0.01"
)
SONNET_LONG_RATES = Rates(input="6", output="22.50", cache_read="0.60", cache_write="7.50", cache_write_1h="12")
OPUS_RATES = Rates(input="5", output="25", cache_read="0.50", cache_write="6.25", cache_write_1h="10")
HAIKU_RATES = Rates(input="1", output="5", cache_read="0.10", cache_write="1.25", cache_write_1h="2")

GREETING = "Grüße, 世界 🌍 … it works."


class Message(Tape):
    """One streamed message."""

    def start(self, model: str, counts: Mapping[str, Any], **usage: Any) -> None:
        message: dict[str, Any] = {
            "id": "msg_01Reference",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts,
        }
        known = Usage(**usage)
        self.send("message_start", {"message": message}, model=model, response_id="msg_01Reference", usage=known)

    def send(self, kind: str, fields: Mapping[str, Any], **known: Any) -> None:
        self.event({"type": kind, **fields}, kind, **known)

    def ping(self) -> None:
        self.send("ping", {})

    def block(self, index: int, block: Mapping[str, Any], **known: Any) -> None:
        self.send("content_block_start", {"index": index, "content_block": block}, **known)

    def delta(self, index: int, delta: Mapping[str, Any], **known: Any) -> None:
        self.send("content_block_delta", {"index": index, "delta": delta}, **known)

    def stop(self, index: int, **known: Any) -> None:
        self.send("content_block_stop", {"index": index}, **known)

    def text(self, index: int, words: str, size: int = 5) -> None:
        self.block(index, {"type": "text", "text": ""})
        for piece in pieces(words, size):
            self.delta(index, {"type": "text_delta", "text": piece}, said=piece)
        self.stop(index)

    def thinking(self, index: int, words: str) -> None:
        self.block(index, {"type": "thinking", "thinking": "", "signature": ""})
        for piece in pieces(words, 12):
            self.delta(index, {"type": "thinking_delta", "thinking": piece}, token=True)
        self.delta(index, {"type": "signature_delta", "signature": "RmFrZQ=="})
        self.stop(index)

    def tool(self, index: int, id: str, name: str, arguments: str, size: int = 9) -> None:
        number = len(self.now.tools)
        block = {"type": "tool_use", "id": id, "name": name, "input": {}}
        self.block(index, block, token=True, tools=self.called(id, name))
        self.delta(index, {"type": "input_json_delta", "partial_json": ""})
        for piece in pieces(arguments, size):
            delta = {"type": "input_json_delta", "partial_json": piece}
            self.delta(index, delta, token=True, tools=self.told(number, piece))
        self.stop(index, tools=self.told(number, "", last=True))

    def end(self, reason: str, counts: Mapping[str, Any], refusal: bool = False, **usage: Any) -> None:
        delta = {"stop_reason": reason, "stop_sequence": None}
        known = self.used(**usage)
        fields = {"delta": delta, "usage": counts}
        self.send("message_delta", fields, stop_reason=reason, refusal=refusal, usage=known)
        self.send("message_stop", {}, complete=True)


def counts(
    input: int, output: int, read: int = 0, short: int = 0, long: int = 0, tier: str = "standard"
) -> dict[str, Any]:
    """`usage` of message_start and of a JSON body."""
    return {
        "input_tokens": input,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": output,
        "service_tier": tier,
    }


def usage(input: int, output: int, read: int = 0, short: int = 0, long: int = 0, tier: str = "") -> dict[str, Any]:
    """The same in our measure."""
    return {
        "input": input,
        "output": output,
        "cache_read": read,
        "cache_write": short + long,
        "cache_write_1h": long,
        "tier": tier,
    }


def text() -> Shape:
    tape = Message("text", API)
    tape.start(SONNET, counts(25, 1), **usage(25, 1))
    tape.text(0, GREETING)
    tape.end("end_turn", {"output_tokens": 15}, output=15)
    return tape.shape(SONNET, API, SONNET_RATES)


def thinking() -> Shape:
    tape = Message("thinking, then text", API)
    tape.start(OPUS, counts(512, 2), **usage(512, 2))
    tape.thinking(0, "Let me think about this for a while: 2 + 2 = 4.")
    tape.block(1, {"type": "redacted_thinking", "data": "RmFrZQ=="}, token=True)
    tape.stop(1)
    tape.text(2, "Four.")
    details = {"output_tokens": 231, "output_tokens_details": {"thinking_tokens": 224}}
    tape.end("end_turn", details, output=231, reasoning=224)
    return tape.shape(OPUS, API, OPUS_RATES)


def tools() -> Shape:
    tape = Message("text and two parallel tools", API)
    tape.start(SONNET, counts(3, 1, read=18_211, short=407), **usage(3, 1, read=18_211, short=407))
    tape.text(0, "I read and write at once.")
    first = dumps({"file_path": "src/größe.py", "content": 'print("a\\b")\n' * 2})
    tape.tool(1, "toolu_01", "Write", first, 7)
    tape.tool(2, "toolu_02", "Bash", '{"command": "ls -la", "description": "List \\ud83c\\udf0d"}', 3)
    ending = {**counts(3, 302, read=18_211, short=407), "cache_creation": None}
    tape.end("tool_use", ending, output=302)
    return tape.shape(SONNET, API, SONNET_RATES)


def interleaved_tools() -> Shape:
    tape = Message("deltas of two tools interleaved", API)
    tape.start(HAIKU, counts(40, 1), **usage(40, 1))
    for number, id in enumerate(("toolu_a", "toolu_b")):
        block = {"type": "tool_use", "id": id, "name": f"Read{number}", "input": {}}
        tape.block(number, block, token=True, tools=tape.called(id, f"Read{number}"))
    for piece in ('{"file_', 'path":', '"x"}'):
        for number in (1, 0):
            delta = {"type": "input_json_delta", "partial_json": piece}
            tape.delta(number, delta, token=True, tools=tape.told(number, piece))
    for number in (1, 0):
        tape.stop(number, tools=tape.told(number, "", last=True))
    tape.end("tool_use", {"output_tokens": 77}, output=77)
    return tape.shape(HAIKU, API, HAIKU_RATES)


def cache_5m() -> Shape:
    tape = Message("cache: read, and written for 5 minutes", API)
    tape.start(OPUS, counts(4, 1, read=90_112, short=2_051), **usage(4, 1, read=90_112, short=2_051))
    tape.text(0, "From the cache.")
    ending = {"input_tokens": 4, "cache_creation_input_tokens": 2_051, "cache_read_input_tokens": 90_112}
    tape.end("end_turn", {**ending, "output_tokens": 9}, output=9)
    return tape.shape(OPUS, API, OPUS_RATES)


def cache_1h() -> Shape:
    tape = Message("cache: written for 5 minutes and for an hour", API)
    started = usage(7, 3, read=1_000, short=250, long=4_096)
    tape.start(SONNET, counts(7, 3, read=1_000, short=250, long=4_096), **started)
    tape.text(0, "Kept for an hour.")
    ending = {"input_tokens": 7, "cache_creation_input_tokens": 4_346, "cache_read_input_tokens": 1_000}
    tape.end("end_turn", {**ending, "output_tokens": 8}, output=8)
    return tape.shape(SONNET, API, SONNET_RATES)


def long_context() -> Shape:
    tape = Message("prompt above 200,000 tokens", API)
    tape.start(SONNET, counts(150_001, 1, read=50_000), **usage(150_001, 1, read=50_000))
    tape.text(0, "That was long.")
    tape.end("end_turn", {"output_tokens": 1_001}, output=1_001)
    return tape.shape(SONNET, API, SONNET_LONG_RATES)


def web_search() -> Shape:
    tape = Message("server tool: web search, input grows", API)
    tape.start(SONNET, {**counts(2_679, 3), "server_tool_use": {"web_search_requests": 0}}, **usage(2_679, 3))
    tape.text(0, "I will look.")
    tape.block(1, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, token=True)
    tape.delta(1, {"type": "input_json_delta", "partial_json": '{"query": "weather'}, token=True)
    tape.delta(1, {"type": "input_json_delta", "partial_json": ' in Kyiv"}'}, token=True)
    tape.stop(1)
    found = {
        "type": "web_search_result",
        "title": "Weather",
        "url": "https://example.com",
        "encrypted_content": "RmFrZQ==",
    }
    tape.block(2, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]})
    tape.stop(2)
    tape.block(3, {"type": "text", "text": "", "citations": []})
    citation = {"type": "web_search_result_location", "url": "https://example.com", "cited_text": "Sunny", "title": "W"}
    tape.delta(3, {"type": "citations_delta", "citation": citation})
    tape.delta(3, {"type": "text_delta", "text": "Sunny."}, said="Sunny.")
    tape.stop(3)
    ending = {**counts(10_682, 510), "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}}
    del ending["cache_creation"]
    tape.end("end_turn", ending, input=10_682, output=510, server_tools={"web_search": 2})
    return tape.shape(SONNET, API, SONNET_RATES)


def compaction() -> Shape:
    tape = Message("compaction: billed, but not in the totals of the API", API)
    tape.start(SONNET, counts(100, 1), **usage(100, 1))
    tape.block(0, {"type": "compaction", "content": None})
    tape.delta(0, {"type": "compaction_delta", "content": "The conversation so far."})
    tape.stop(0)
    tape.text(1, "Go on.")
    iterations = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, **_no_cache()},
        {"type": "message", "input_tokens": 1_200, "output_tokens": 90, **_no_cache()},
    ]
    ending = {"input_tokens": 1_200, "output_tokens": 90, **_no_cache(), "iterations": iterations}
    tape.end("end_turn", ending, input=181_200, output=3_590)
    return tape.shape(SONNET, API, SONNET_RATES)


def _no_cache() -> dict[str, int]:
    return {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def ended_otherwise(reason: str, refusal: bool = False) -> Shape:
    tape = Message(f"stop reason {reason}", API)
    tape.start(HAIKU, counts(88, 4), **usage(88, 4))
    tape.text(0, "I stop here")
    ending: dict[str, Any] = {"output_tokens": 31}
    tape.end(reason, ending, refusal=refusal, output=31)
    return tape.shape(HAIKU, API, HAIKU_RATES)


def cut_tool() -> Shape:
    tape = Message("max_tokens inside the arguments of a tool", API)
    tape.start(HAIKU, counts(88, 4), **usage(88, 4))
    tape.tool(0, "toolu_cut", "Write", '{"file_path": "a.py", "content": "def f(', 8)
    tape.end("max_tokens", {"output_tokens": 64}, output=64)
    return tape.shape(HAIKU, API, HAIKU_RATES)


def error_midway() -> Shape:
    tape = Message("error in the middle", API)
    tape.start(SONNET, counts(25, 1), **usage(25, 1))
    tape.block(0, {"type": "text", "text": ""})
    tape.delta(0, {"type": "text_delta", "text": "Half a th"}, said="Half a th")
    tape.send("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}, error="overloaded_error")
    return tape.shape(SONNET, API, SONNET_RATES)


def pings() -> Shape:
    tape = Message("pings and comments everywhere", API)
    tape.comment()
    tape.ping()
    tape.start(HAIKU, counts(9, 1), **usage(9, 1))
    tape.ping()
    tape.block(0, {"type": "text", "text": ""})
    for piece in ("One", " two", ' {"type":"message_stop"}'):
        tape.comment()
        tape.delta(0, {"type": "text_delta", "text": piece}, said=piece)
        tape.ping()
    tape.stop(0)
    tape.comment()
    tape.end("end_turn", {"output_tokens": 12}, output=12)
    tape.ping()
    return tape.shape(HAIKU, API, HAIKU_RATES)


def unnamed() -> Shape:
    tape = Message("events without names, other spacing", API)
    started = '{ "type" : "message_start", "message": {"id":"msg_x", "model":"claude-haiku-4-5", "usage": '
    began = Usage(input=5, output=1)
    line = started + '{"input_tokens": 5, "output_tokens": 1}}}'
    tape.event(line, model="claude-haiku-4-5", response_id="msg_x", usage=began)
    tape.event('{"index": 0, "content_block": {"text": "", "type": "text"}, "type": "content_block_start"}')
    tape.event(
        '{"delta": {"text": "\\u4e16\\ud83c\\udf0d", "type": "text_delta"}, "index": 0, "type": "content_block_delta"}',
        said="世🌍",
    )
    ending = '{"usage": {"output_tokens": 3}, "delta": {"stop_reason": "end_turn"}, "type": "message_delta"}'
    tape.event(ending, usage=tape.used(output=3), stop_reason="end_turn")
    tape.event('{ "type": "message_stop" }', complete=True)
    return tape.shape("claude-haiku-4-5", API, HAIKU_RATES)


def whole() -> Shape:
    tape = Message("JSON with tools", API, "json")
    arguments = {"path": "größe.py", "lines": [1, 2.5, None, True]}
    content = [
        {"type": "thinking", "thinking": "Not visible.", "signature": "RmFrZQ=="},
        {"type": "text", "text": GREETING},
        {"type": "tool_use", "id": "toolu_9", "name": "Edit", "input": arguments},
        {"type": "text", "text": "!"},
    ]
    tools = (ToolCall("toolu_9", "Edit", dumps(arguments), 0),)
    used = usage(12, 345, read=6_000, short=20, long=30)
    message(tape, SONNET, content, "tool_use", counts(12, 345, read=6_000, short=20, long=30), used, tools=tools)
    return tape.shape(SONNET, API, SONNET_RATES, objects=True)


def tier(name: str, rates: Rates | None) -> Shape:
    tape = Message(f"JSON, tier {name}", API, "json")
    content = [{"type": "text", "text": GREETING}]
    message(tape, SONNET, content, "end_turn", counts(1_000, 200, tier=name), usage(1_000, 200, tier=name))
    return tape.shape(SONNET, API, rates)


def error_body() -> Shape:
    tape = Message("JSON error", API, "json")
    error = {"type": "rate_limit_error", "message": "Slow down."}
    tape.body({"type": "error", "error": error, "request_id": "req_1"}, error="rate_limit_error", complete=False)
    return tape.shape()


def message(
    tape: Tape, model: str, content: list[Any], reason: str, counted: object, used: Mapping[str, Any], **known: Any
) -> None:
    """A message that is not streamed."""
    fields = {"id": "msg_01Whole", "type": "message", "role": "assistant", "model": model, "content": content}
    chars = sum(len(block.get("text", "")) for block in content)
    known = {"stop_reason": reason, "usage": Usage(**used), "text_chars": chars, **known}
    ending = {"stop_reason": reason, "stop_sequence": None, "usage": counted}
    tape.body({**fields, **ending}, model=model, response_id="msg_01Whole", **known)


def shapes() -> Iterator[Shape]:
    """All of them."""
    makers = (text, thinking, tools, interleaved_tools, cache_5m, cache_1h, long_context, web_search, compaction)
    yield from (make() for make in (*makers, cut_tool, error_midway, pings, unnamed, whole, error_body))
    yield from (ended_otherwise(reason) for reason in ("max_tokens", "pause_turn", "stop_sequence"))
    yield ended_otherwise("refusal", refusal=True)
    yield tier("batch", replace(SONNET_RATES, factor="0.5"))
    yield tier("priority", None)
