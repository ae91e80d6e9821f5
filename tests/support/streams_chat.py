"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat and .../chat-streaming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.usage import Usage
from support.streams import Rates, Shape, Tape, dumps, pieces

API, PROVIDER = "openai-chat", "openai"
GPT, GPT5, NEWEST = "gpt-4.1-2025-04-14", "gpt-5-2025-08-07", "gpt-5.6-sol"
GPT_RATES = Rates(input="2", output="8", cache_read="0.50")
GPT5_RATES = Rates(input="1.25", output="10", cache_read="0.125")
NEWEST_RATES = Rates(input="4", output="20", cache_read="0.40", cache_write="5")
ID = "chatcmpl-Reference"


class Completion(Tape):
    """One streamed completion."""

    model = GPT

    def chunk(self, choices: list[Any], more: Mapping[str, Any] | None = None, **known: Any) -> None:
        head = {"id": ID, "object": "chat.completion.chunk", "created": 1760000000, "model": self.model}
        data = {**head, "system_fingerprint": "fp_x", "choices": choices, **(more or {})}
        self.event(data, model=self.model, response_id=ID, **known)

    def delta(self, delta: Mapping[str, Any], index: int = 0, finish: str | None = None, **known: Any) -> None:
        if finish is not None:
            known["stop_reason"] = finish
            known.setdefault("tools", tuple(replace(call, cut=False) for call in self.now.tools))
        self.chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}], **known)

    def role(self, index: int = 0) -> None:
        self.delta({"role": "assistant", "content": "", "refusal": None}, index)

    def say(self, words: str, index: int = 0, size: int = 6) -> None:
        for piece in pieces(words, size):
            self.delta({"content": piece}, index, said=piece)

    def tool(self, number: int, id: str, name: str, arguments: str, size: int = 10) -> None:
        entry = {"index": number, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        self.delta({"tool_calls": [entry]}, token=True, tools=self.called(id, name))
        for piece in pieces(arguments, size):
            more = {"index": number, "function": {"arguments": piece}}
            self.delta({"tool_calls": [more]}, token=True, tools=self.told(number, piece))

    def used_up(self, usage: Mapping[str, Any], **counted: Any) -> None:
        self.chunk([], {"usage": usage}, usage=self.used(**counted))

    def done(self) -> None:
        self.event("[DONE]", complete=True)


def counts(prompt: int, output: int, cached: int = 0, reasoning: int = 0, written: int | None = None) -> dict[str, Any]:
    """`usage` as OpenAI gives it: cached and written tokens lie within the prompt, reasoning within the output."""
    writing = {} if written is None else {"cache_write_tokens": written}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0, **writing},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "accepted_prediction_tokens": 0},
    }


def usage(prompt: int, output: int, cached: int = 0, reasoning: int = 0, written: int | None = None) -> dict[str, Any]:
    """The same in our measure."""
    known: dict[str, Any] = {"cache_read": cached, "output": output, "reasoning": reasoning}
    return {**known, "input": prompt - cached - (written or 0), "cache_write": written}


def text() -> Shape:
    tape = Completion("text with include_usage", API)
    tape.role()
    tape.say('Grüße, 世界 🌍 and "quotes" \\ \n.')
    tape.delta({}, finish="stop")
    tape.used_up(counts(648, 20), **usage(648, 20))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def no_usage() -> Shape:
    tape = Completion("text without include_usage", API)
    tape.role()
    tape.say("Nobody counts this.")
    tape.delta({}, finish="stop")
    tape.done()
    return tape.shape(GPT, PROVIDER)


def null_usage() -> Shape:
    tape = Completion("usage null in every chunk but the last", API)
    for piece in ("One", "", " two"):
        choice = {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None}
        tape.chunk([choice], {"usage": None, "service_tier": "default", "obfuscation": "x8Kd"}, said=piece)
    tape.delta({}, finish="stop")
    tape.used_up(counts(30, 2), **usage(30, 2))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def reasoning_cached() -> Shape:
    tape = Completion("reasoning, read from the cache", API)
    tape.model = GPT5
    tape.role()
    tape.say("Forty-two.")
    tape.delta({}, finish="stop")
    tape.used_up(counts(4_096, 1_300, cached=3_072, reasoning=1_280), **usage(4_096, 1_300, 3_072, 1_280))
    tape.done()
    return tape.shape(GPT5, PROVIDER, GPT5_RATES)


def cache_written() -> Shape:
    tape = Completion("read from and written to the cache", API)
    tape.model = NEWEST
    tape.role()
    tape.say("Kept.")
    tape.delta({}, finish="stop")
    used = usage(5_000, 7, cached=2_000, written=2_500)
    tape.used_up(counts(5_000, 7, cached=2_000, written=2_500), **used)
    tape.done()
    return tape.shape(NEWEST, PROVIDER, NEWEST_RATES)


def visible_reasoning() -> Shape:
    tape = Completion("reasoning that others show", API)
    tape.model = "deepseek-reasoner"
    for piece in pieces("Let me think about it.", 5):
        tape.delta({"role": "assistant", "content": None, "reasoning_content": piece}, token=True)
    tape.say("Done.")
    tape.delta({}, finish="stop")
    tape.used_up(counts(20, 30, reasoning=25), **usage(20, 30, reasoning=25))
    tape.done()
    return tape.shape()


def reasoning_apart() -> Shape:
    tape = Completion("reasoning beside the output, as xAI counts", API)
    tape.model = "grok-reference"
    tape.say("Forty-two.")
    tape.delta({}, finish="stop")
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 280}}
    counted = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 400, **details}
    tape.used_up(counted, input=96, cache_read=4, output=300, reasoning=280)
    tape.done()
    return tape.shape()


def other_words() -> Shape:
    tape = Completion("read from the cache, in DeepSeek's words", API)
    tape.model = "deepseek-chat"
    tape.say("Hello.")
    counted = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
    hits = {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    used = tape.used(input=36, cache_read=64, output=2)
    tape.chunk([choice], {"usage": {**counted, **hits}}, stop_reason="stop", usage=used)
    tape.done()
    return tape.shape()


def azure() -> Shape:
    tape = Completion("Azure: a first chunk without a name", API)
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]}
    tape.event(first)
    for piece in ("Hel", "lo"):
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None, "content_filter_results": {}}
        tape.chunk([choice], said=piece)
    tape.delta({}, finish="stop")
    tape.used_up(counts(9, 2), **usage(9, 2))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def tools() -> Shape:
    tape = Completion("three tools one after the other", API)
    tape.delta({"role": "assistant", "content": None})
    tape.tool(0, "call_1", "bash", '{"command": "printf %s größe > a.txt"}', 4)
    tape.tool(1, "call_2", "read", dumps({"filePath": "a\\b.txt", "limit": 3}), 6)
    tape.tool(2, "call_3", "todo", "{}")
    tape.delta({}, finish="tool_calls")
    tape.used_up(counts(7_521, 90), **usage(7_521, 90))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def tools_at_once() -> Shape:
    tape = Completion("two whole tools in one chunk", API)
    entries = []
    known = []
    for number, (id, arguments) in enumerate((("call_a", '{"x":1}'), ("call_b", '{"x":2}'))):
        function = {"name": "get", "arguments": arguments}
        entries.append({"index": number, "id": id, "type": "function", "function": function})
        known.append(ToolCall(id, "get", arguments, number, cut=True))
    tape.delta({"role": "assistant", "tool_calls": entries}, token=True, tools=tuple(known))
    tape.delta({}, finish="tool_calls")
    tape.used_up(counts(15, 8), **usage(15, 8))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def refusal() -> Shape:
    tape = Completion("refusal", API)
    tape.role()
    for piece in pieces("I cannot help with that.", 8):
        tape.delta({"refusal": piece}, said=piece, refusal=True)
    tape.delta({}, finish="stop")
    tape.used_up(counts(44, 9), **usage(44, 9))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def filtered() -> Shape:
    tape = Completion("content filter", API)
    tape.role()
    tape.say("Well, ")
    tape.delta({}, finish="content_filter", refusal=True)
    tape.used_up(counts(44, 3), **usage(44, 3))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def too_long() -> Shape:
    tape = Completion("length", API)
    tape.role()
    tape.say("This goes on and")
    tape.delta({}, finish="length")
    tape.used_up(counts(44, 4), **usage(44, 4))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def two_choices() -> Shape:
    tape = Completion("two choices, interleaved", API)
    tape.role(0)
    tape.role(1)
    for first, second in zip(pieces("The first one.", 4), pieces("The other one.", 4), strict=True):
        tape.delta({"content": first}, 0, said=first)
        tape.delta({"content": second}, 1, said=second)
    tape.delta({}, 1, finish="stop")
    tape.delta({}, 0, finish="stop")
    tape.used_up(counts(12, 10), **usage(12, 10))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def two_choices_with_tools() -> Shape:
    tape = Completion("two choices, each with a tool of the same number", API)
    for choice in (0, 1):
        function = {"name": "go", "arguments": f'{{"to":{choice}}}'}
        entry = {"index": 0, "id": f"call_{choice}", "type": "function", "function": function}
        tools = (*tape.now.tools, ToolCall(f"call_{choice}", "go", f'{{"to":{choice}}}', choice, cut=True))
        tape.delta({"role": "assistant", "tool_calls": [entry]}, choice, token=True, tools=tools)
    half = (replace(tape.now.tools[0], cut=False), tape.now.tools[1])
    tape.delta({}, 0, finish="tool_calls", tools=half)
    tape.delta({}, 1, finish="tool_calls")
    tape.used_up(counts(12, 10), **usage(12, 10))
    tape.done()
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def error_midway() -> Shape:
    tape = Completion("error in the middle", API)
    tape.role()
    tape.say("Half a")
    error = {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}
    tape.event({"error": error}, error="server_error")
    return tape.shape(GPT, PROVIDER)


def whole() -> Shape:
    tape = Tape("JSON with tools, cached", API, "json")
    function = {"name": "search", "arguments": '{"q": "größe"}'}
    calls = [{"id": "call_w", "type": "function", "function": function}]
    message = {"role": "assistant", "content": "Let me see.", "refusal": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    tools = (ToolCall("call_w", "search", '{"q": "größe"}', 0),)
    used = {**usage(2_000, 55, cached=1_024), "tier": ""}
    completed(tape, GPT, [choice], counts(2_000, 55, cached=1_024), used, "tool_calls", chars=11, tools=tools)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def whole_refusal() -> Shape:
    tape = Tape("JSON, two choices, one refused", API, "json")
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "Yes.", "refusal": None}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"},
    ]
    completed(tape, GPT, choices, counts(8, 6), usage(8, 6), "stop", chars=7, refusal=True)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def bare_whole() -> Shape:
    tape = Tape("JSON without details of the usage", API, "json")
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]
    bare = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    completed(tape, GPT, choices, bare, {"input": 5, "output": 1}, "stop", chars=2)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def error_body() -> Shape:
    tape = Tape("JSON error", API, "json")
    error = {"message": "Too many.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    tape.body({"error": error}, error="rate_limit_exceeded", complete=False)
    return tape.shape()


def completed(
    tape: Tape,
    model: str,
    choices: list[Any],
    counted: object,
    used: Mapping[str, Any],
    reason: str,
    chars: int,
    **known: Any,
) -> None:
    """A completion that is not streamed."""
    head = {"id": ID, "object": "chat.completion", "created": 1760000000, "model": model, "service_tier": "default"}
    body = {**head, "choices": choices, "usage": counted}
    told = {"model": model, "response_id": ID, "usage": Usage(**used), "stop_reason": reason, "text_chars": chars}
    tape.body(body, **told, **known)


def shapes() -> Iterator[Shape]:
    """All of them."""
    streams = (text, no_usage, null_usage, reasoning_cached, cache_written, visible_reasoning, reasoning_apart)
    others = (
        other_words,
        tools,
        tools_at_once,
        refusal,
        filtered,
        too_long,
        two_choices,
        two_choices_with_tools,
        error_midway,
    )
    yield from (make() for make in (*streams, *others, whole, whole_refusal, bare_whole, error_body))
