"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses-streaming, also as WebSocket messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.usage import Usage
from support.streams import Form, Rates, Shape, Tape, dumps, pieces

API, PROVIDER = "openai-responses", "openai"
GPT, CODEX = "gpt-4.1-2025-04-14", "gpt-5-codex"
GPT_RATES = Rates(input="2", output="8", cache_read="0.50", web_search="0.01")
PRIORITY_RATES = Rates(input="3.50", output="14", cache_read="0.875")
CODEX_RATES = Rates(input="1.25", output="10", cache_read="0.125", web_search="0.01")
ID = "resp_Reference"
PATCH = '*** Begin Patch\n*** Update File: größe.py\n@@\n-old \\ "x"\n+new\t🌍\n*** End Patch\n'


class Response(Tape):
    """One streamed response."""

    def __init__(self, name: str, form: Form = "sse", model: str = GPT) -> None:
        super().__init__(name, API, form)
        self.model, self.items = model, list[Mapping[str, Any]]()

    def send(self, kind: str, fields: Mapping[str, Any], **known: Any) -> None:
        self.event({"type": kind, "sequence_number": len(self.parts), **fields}, kind, **known)

    def start(self) -> None:
        known = {"model": self.model, "response_id": ID}
        self.send("response.created", {"response": response(self.model, "in_progress")}, **known)
        self.send("response.in_progress", {"response": response(self.model, "in_progress")})

    def added(self, item: Mapping[str, Any], **known: Any) -> Mapping[str, Any]:
        """An item begins; returns how later events refer to it."""
        self.items.append(item)
        place = {"output_index": len(self.items) - 1}
        self.send("response.output_item.added", {**place, "item": item}, **known)
        return {"item_id": item["id"], **place}

    def done(self, item: Mapping[str, Any], **known: Any) -> None:
        self.items[-1] = item
        self.send("response.output_item.done", {"output_index": len(self.items) - 1, "item": item}, **known)

    def say(self, words: str, size: int = 6, refusal: bool = False) -> None:
        kind, field = ("refusal", "refusal") if refusal else ("output_text", "text")
        item = {"id": f"msg_{len(self.items)}", "type": "message", "role": "assistant"}
        place = {**self.added({**item, "status": "in_progress", "content": []}), "content_index": 0}
        self.send("response.content_part.added", {**place, "part": {"type": kind, field: ""}})
        for piece in pieces(words, size):
            known = {"refusal": True} if refusal else {}
            self.send(f"response.{kind}.delta", {**place, "delta": piece, "logprobs": []}, said=piece, **known)
        self.send(f"response.{kind}.done", {**place, field: words})
        self.send("response.content_part.done", {**place, "part": {"type": kind, field: words}})
        self.done({**item, "status": "completed", "content": [{"type": kind, field: words, "annotations": []}]})

    def reason(self, words: str) -> None:
        item = {"id": f"rs_{len(self.items)}", "type": "reasoning", "summary": [], "encrypted_content": "RmFrZQ=="}
        place = {**self.added(item), "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        self.send("response.reasoning_summary_part.added", {**place, "part": part})
        for piece in pieces(words, 9):
            self.send("response.reasoning_summary_text.delta", {**place, "delta": piece}, token=True)
        self.send("response.reasoning_summary_text.done", {**place, "text": words})
        self.send("response.reasoning_summary_part.done", {**place, "part": {**part, "text": words}})
        self.done({**item, "summary": [{**part, "text": words}]})

    def call(self, id: str, name: str, arguments: str, custom: bool = False, size: int = 8) -> None:
        """A function's call, or a custom tool's, whose input is free text."""
        kind, field = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
        event = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        item = {"id": f"fc_{id}", "type": kind, "status": "in_progress", "call_id": id, "name": name, field: ""}
        number = len(self.now.tools)
        place = self.added(item, token=True, tools=self.called(id, name))
        for piece in pieces(arguments, size):
            known = {"tools": self.told(number, piece), "token": True}
            self.send(f"{event}.delta", {**place, "delta": piece, "obfuscation": "x"}, **known)
        self.send(f"{event}.done", {**place, field: arguments}, tools=self.told(number, "", last=True))
        self.done({**item, "status": "completed", field: arguments})

    def search(self, *actions: Mapping[str, Any]) -> None:
        for action in actions:
            item = {"id": f"ws_{len(self.items)}", "type": "web_search_call", "status": "in_progress"}
            place = self.added(item, token=True)
            self.send("response.web_search_call.in_progress", place)
            self.send("response.web_search_call.searching", place)
            self.send("response.web_search_call.completed", place)
            known = {"usage": self.used(server_tools=self._searched())} if action["type"] == "search" else {}
            self.done({**item, "status": "completed", "action": action}, **known)

    def _searched(self) -> dict[str, int]:
        return {"web_search": self.now.usage.server_tools.get("web_search", 0) + 1}

    def end(self, counted: Mapping[str, Any], used: Mapping[str, Any], **more: Any) -> None:
        last = {"usage": self.used(**used), "stop_reason": "completed", "complete": True}
        body = response(self.model, "completed", self.items, counted, **more)
        self.send("response.completed", {"response": body}, **last)


def response(
    model: str, status: str, output: list[Mapping[str, Any]] | None = None, counted: object = None, **more: Any
) -> dict[str, Any]:
    """The object that events and JSON bodies carry."""
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "service_tier": "auto"}
    head = {"id": ID, "object": "response", "created_at": 1760000000, "status": status, "model": model}
    filled = {**head, **settings, "incomplete_details": None, "output": list(output or []), "usage": counted}
    return {**filled, "service_tier": "auto" if counted is None else "default", **more}


def counts(read: int, output: int, cached: int = 0, reasoning: int = 0, written: int = 0) -> dict[str, Any]:
    """`usage` as OpenAI gives it: cached tokens lie within the input, reasoning within the output."""
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": read + output,
    }


def usage(read: int, output: int, cached: int = 0, reasoning: int = 0, written: int = 0) -> dict[str, Any]:
    """The same in our measure."""
    apart = {"input": read - cached - written, "cache_read": cached, "cache_write": written}
    return {**apart, "output": output, "reasoning": reasoning}


def text(form: Form = "sse") -> Shape:
    tape = Response("text" if form == "sse" else "text over a WebSocket", form)
    tape.start()
    tape.say('Grüße, 世界 🌍 and "quotes" \\ \n.')
    tape.end(counts(10_246, 20), usage(10_246, 20))
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def calls(form: Form = "sse") -> Shape:
    tape = Response("two functions" if form == "sse" else "two functions over a WebSocket", form, CODEX)
    tape.start()
    tape.reason("I look at the files first.")
    tape.call("call_1", "exec_command", dumps({"cmd": "printf %s größe > a.txt"}))
    tape.call("call_2", "update_plan", '{"plan": [{"step": "\\ud83c\\udf0d", "status": "done"}]}')
    tape.end(counts(10_080, 220, cached=9_216, reasoning=128), usage(10_080, 220, 9_216, 128))
    return tape.shape(CODEX, PROVIDER, CODEX_RATES)


def patch() -> Shape:
    tape = Response("custom tool: apply_patch", model=CODEX)
    tape.start()
    tape.call("call_p", "apply_patch", PATCH, custom=True, size=5)
    tape.end(counts(2_000, 64), usage(2_000, 64))
    return tape.shape(CODEX, PROVIDER, CODEX_RATES)


def reasoning() -> Shape:
    tape = Response("reasoning, read from the cache", model=CODEX)
    tape.start()
    tape.reason("Think, think, think.")
    tape.say("Done.")
    tape.end(counts(8_192, 2_048, cached=8_000, reasoning=2_000), usage(8_192, 2_048, 8_000, 2_000))
    return tape.shape(CODEX, PROVIDER, CODEX_RATES)


def search() -> Shape:
    tape = Response("server tool: web search")
    tape.start()
    page = {"type": "open_page", "url": "https://example.com"}
    tape.search({"type": "search", "query": "weather"}, page, {"type": "search", "query": "weather in Kyiv"})
    tape.say("Sunny.")
    tape.end(counts(9_000, 80), usage(9_000, 80))
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def counted_search() -> Shape:
    tape = Response("server tool: web search, counted by the API")
    tape.start()
    tape.search({"type": "search", "query": "a"}, {"type": "search", "query": "b"})
    tape.say("Sunny.")
    billed = {"web_search": {"num_requests": 1}}
    tape.end(counts(9_000, 80), {**usage(9_000, 80), "server_tools": {"web_search": 1}}, tool_usage=billed)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def refusal() -> Shape:
    tape = Response("refusal")
    tape.start()
    tape.say("I cannot help with that.", refusal=True)
    tape.end(counts(50, 9), usage(50, 9))
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def incomplete(reason: str, refused: bool = False) -> Shape:
    tape = Response(f"incomplete: {reason}")
    tape.start()
    tape.say("This goes on and")
    body = response(GPT, "incomplete", tape.items, counts(50, 4), incomplete_details={"reason": reason})
    known = {"stop_reason": reason, "complete": True, "usage": tape.used(**usage(50, 4)), "refusal": refused}
    tape.send("response.incomplete", {"response": body}, **known)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def failed() -> Shape:
    tape = Response("failed")
    tape.start()
    tape.say("Half a")
    error = {"code": "server_error", "message": "The server had an error."}
    body = response(GPT, "failed", [], None, error=error)
    tape.send("response.failed", {"response": body}, stop_reason="failed", error="server_error", complete=True)
    return tape.shape(GPT, PROVIDER)


def error_midway() -> Shape:
    tape = Response("error in the middle")
    tape.start()
    fields = {"code": "rate_limit_exceeded", "message": "Too many.", "param": None}
    tape.send("error", fields, error="rate_limit_exceeded")
    return tape.shape(GPT, PROVIDER)


def priority() -> Shape:
    tape = Response("tier priority")
    tape.start()
    tape.say("Quick.")
    tape.end(counts(100, 2), {**usage(100, 2), "tier": "priority"}, service_tier="priority")
    return tape.shape(GPT, PROVIDER, PRIORITY_RATES)


def whole() -> Shape:
    tape = Tape("JSON with a function and a patch", API, "json")
    said = [{"type": "output_text", "text": "Größe 🌍", "annotations": []}]
    output: list[Mapping[str, Any]] = [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Not visible."}]},
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": said},
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "ls", "arguments": '{"path": "."}'},
        {"id": "ct_1", "type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": PATCH},
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
    ]
    tools = (ToolCall("call_1", "ls", '{"path": "."}', 0), ToolCall("call_2", "apply_patch", PATCH, 1))
    used = Usage(**usage(1_000, 50, cached=400), server_tools={"web_search": 1})
    known = {"model": GPT, "response_id": ID, "stop_reason": "completed", "usage": used, "tools": tools}
    tape.body(response(GPT, "completed", output, counts(1_000, 50, cached=400)), text_chars=7, **known)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def whole_incomplete() -> Shape:
    tape = Tape("JSON, incomplete", API, "json")
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    known = {"model": GPT, "response_id": ID, "stop_reason": "max_output_tokens", "usage": Usage(**usage(10, 16))}
    tape.body(response(GPT, "incomplete", [], counts(10, 16), **details), **known)
    return tape.shape(GPT, PROVIDER, GPT_RATES)


def error_body() -> Shape:
    tape = Tape("JSON error", API, "json")
    error = {"message": "No such model.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    tape.body({"error": error}, error="model_not_found", complete=False)
    return tape.shape()


def shapes() -> Iterator[Shape]:
    """All of them."""
    streams = (text, calls, patch, reasoning, search, counted_search, refusal, failed, error_midway, priority)
    yield from (make() for make in (*streams, whole, whole_incomplete, error_body))
    yield incomplete("max_output_tokens")
    yield incomplete("content_filter", refused=True)
    yield text("messages")
    yield calls("messages")
