"""Gemini: https://ai.google.dev/api/generate-content, as event stream, as streamed JSON array and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.usage import Usage
from support.streams import Form, Rates, Shape, Tape, dumps, pieces

API, PROVIDER = "gemini", "google"
FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"
FLASH_RATES = Rates(input="0.30", output="2.50", cache_read="0.03")
PRO_RATES = Rates(input="1.25", output="10", cache_read="0.125")
GROUNDED_RATES = Rates(input="0.30", output="2.50", grounding="0.035")
THREE = "gemini-3-pro-preview"
THREE_RATES = Rates(input="2", output="12", web_search="0.014")
PRO_LONG_RATES = Rates(input="2.50", output="15", cache_read="0.25")
ID = "rReference"


class Content(Tape):
    """One streamed answer. Every chunk repeats the counts so far."""

    def __init__(self, name: str, form: Form = "sse", model: str = FLASH) -> None:
        super().__init__(name, API, form)
        self.model = model

    def chunk(self, candidates: list[Any], counted: Mapping[str, int], **known: Any) -> None:
        body = {"candidates": candidates, "usageMetadata": counted, "modelVersion": self.model, "responseId": ID}
        known = {"model": self.model, "response_id": ID, **known}
        if self.form == "array":
            # As the API writes it: every element is indented, the array is never on one line.
            self.put(("[" if not self.parts else ",\r\n").encode() + dumps(body).encode(), **known)
        else:
            self.event(body, **known)

    def say(self, words: str, counted: Mapping[str, int], finish: str = "", **known: Any) -> None:
        self.part({"text": words}, counted, finish, said=words, **known)

    def part(self, part: Mapping[str, Any], counted: Mapping[str, int], finish: str = "", **known: Any) -> None:
        candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
            known = {"stop_reason": finish, "complete": True, **known}
        self.chunk([candidate], counted, **known)

    def close(self) -> None:
        if self.form == "array":
            self.put(b"]", events=0)


def counts(prompt: int, answer: int = 0, thoughts: int = 0, cached: int = 0, tools: int = 0) -> dict[str, int]:
    """`usageMetadata`: the cached tokens lie within the prompt, tools and thoughts beside; zeros are left out."""
    named = {"promptTokenCount": prompt, "candidatesTokenCount": answer, "thoughtsTokenCount": thoughts}
    more = {"cachedContentTokenCount": cached, "toolUsePromptTokenCount": tools}
    found = {name: number for name, number in {**named, **more}.items() if number}
    return {**found, "totalTokenCount": prompt + answer + thoughts + tools}


def usage(prompt: int, answer: int = 0, thoughts: int = 0, cached: int = 0, tools: int = 0) -> Usage:
    """The same in our measure. What is left out is unknown, apart from the part of a sum."""
    read = prompt - cached + tools
    made = answer + thoughts
    return Usage(input=read, cache_read=cached or None, output=made, reasoning=thoughts or None)


def text(form: Form = "sse") -> Shape:
    tape = Content("text" if form == "sse" else "text in a streamed JSON array", form)
    parts = pieces('Grüße, 世界 🌍 and "]},[{" \\ \n.', 7)
    for number, piece in enumerate(parts, 1):
        finish = "STOP" if number == len(parts) else ""
        tape.say(piece, counts(11_726, number * 3), finish, usage=usage(11_726, number * 3))
    tape.close()
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def thoughts() -> Shape:
    tape = Content("thoughts, read from the cache", model=PRO)
    known = {"thoughts": 120, "cached": 8_192}
    tape.part({"text": "Let me see.", "thought": True}, counts(9_000, **known), usage=usage(9_000, **known), token=True)
    known = {"thoughts": 640, "cached": 8_192}
    tape.part({"text": "Yes.", "thought": True}, counts(9_000, **known), usage=usage(9_000, **known), token=True)
    tape.say("Four", counts(9_000, 1, **known), usage=usage(9_000, 1, **known))
    tape.say(".", counts(9_000, 2, **known), "STOP", usage=usage(9_000, 2, **known))
    return tape.shape(PRO, PROVIDER, PRO_RATES)


def tools() -> Shape:
    tape = Content("text and two tools in parallel")
    tape.say("I will write the file.", counts(11_594, 8), usage=usage(11_594, 8))
    for number in (1, 2):
        arguments = {"file_path": f"größe{number}.py", "content": 'x = "}"\n', "overwrite": True}
        call = {"functionCall": {"name": "write_file", "args": arguments}, "thoughtSignature": "RmFrZQ=="}
        known = (*tape.now.tools, ToolCall("", "write_file", dumps(arguments), number - 1))
        counted = counts(11_594, 8 + 20 * number)
        used = usage(11_594, 8 + 20 * number)
        tape.part(call, counted, "STOP" if number == 2 else "", token=True, tools=known, usage=used)
    return tape.shape(FLASH, PROVIDER, FLASH_RATES, objects=True)


def server_tool() -> Shape:
    tape = Content("code execution: tokens of the tool beside the prompt")
    code = {"executableCode": {"language": "PYTHON", "code": "print(2 + 2)"}}
    tape.part(code, counts(50, 10), usage=usage(50, 10), token=True)
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}}
    tape.part(result, counts(50, 10, tools=130), usage=usage(50, 10, tools=130))
    tape.say("Four.", counts(50, 14, tools=130), "STOP", usage=usage(50, 14, tools=130))
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def grounded(model: str, rates: Rates) -> Shape:
    tape = Content(f"server tool: two searches by {model}", model=model)
    tape.say("Sunny", counts(60, 1), usage=usage(60, 1))
    found = {
        "webSearchQueries": ["weather", "weather in Kyiv"],
        "groundingChunks": [{"web": {"uri": "https://x.example"}}],
    }
    content = {"parts": [{"text": "."}], "role": "model"}
    candidate = {"content": content, "finishReason": "STOP", "index": 0, "groundingMetadata": found}
    used = replace(usage(60, 2), server_tools={"google_search": 2})
    tape.chunk([candidate], counts(60, 2), said=".", stop_reason="STOP", complete=True, usage=used)
    return tape.shape(model, PROVIDER, rates)


def envelope() -> Shape:
    tape = Content("in the envelope of the Code Assist API")
    candidate = {"content": {"parts": [{"text": "Hi."}], "role": "model"}, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": counts(40, 3), "modelVersion": FLASH, "responseId": ID}
    known: dict[str, Any] = {"stop_reason": "STOP", "complete": True, "usage": usage(40, 3)}
    known |= {"model": FLASH, "response_id": ID}
    tape.event({"response": body, "traceId": "x"}, said="Hi.", **known)
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def long_context() -> Shape:
    tape = Content("prompt above 200,000 tokens", model=PRO)
    known = counts(200_008, 400, cached=100_000)
    tape.say("That was long.", known, "STOP", usage=usage(200_008, 400, cached=100_000))
    return tape.shape(PRO, PROVIDER, PRO_LONG_RATES)


def ended_otherwise(reason: str, refused: bool) -> Shape:
    tape = Content(f"finish reason {reason}")
    tape.say("I stop", counts(30, 2), usage=usage(30, 2))
    candidate = {"finishReason": reason, "index": 0}
    known = {"stop_reason": reason, "refusal": refused, "complete": True}
    tape.chunk([candidate], counts(30, 3), usage=usage(30, 3), **known)
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def blocked() -> Shape:
    tape = Tape("JSON, prompt blocked", API, "json")
    feedback = {"blockReason": "PROHIBITED_CONTENT"}
    body = {"promptFeedback": feedback, "usageMetadata": counts(30), "modelVersion": FLASH, "responseId": ID}
    known = {"stop_reason": "PROHIBITED_CONTENT", "refusal": True, "model": FLASH, "response_id": ID}
    tape.body(body, usage=Usage(input=30, output=0), **known)
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def error_midway() -> Shape:
    tape = Content("error in the middle")
    tape.say("Half a", counts(30, 2), usage=usage(30, 2))
    error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
    tape.event({"error": error}, error="UNAVAILABLE")
    return tape.shape(FLASH, PROVIDER, FLASH_RATES)


def whole() -> Shape:
    tape = Tape("JSON with thoughts and a tool", API, "json")
    arguments = {"q": ["größe", None], "n": 1.5}
    parts = [
        {"text": "Not visible.", "thought": True},
        {"text": "Visible."},
        {"functionCall": {"id": "fc_1", "name": "search", "args": arguments}},
    ]
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
    counted = counts(1_000, 20, thoughts=60, cached=400)
    body = {"candidates": [candidate], "usageMetadata": counted, "modelVersion": FLASH, "responseId": ID}
    tools = (ToolCall("fc_1", "search", dumps(arguments), 0),)
    known = {"model": FLASH, "response_id": ID, "stop_reason": "STOP", "tools": tools, "text_chars": 8}
    tape.body(body, usage=usage(1_000, 20, thoughts=60, cached=400), **known)
    return tape.shape(FLASH, PROVIDER, FLASH_RATES, objects=True)


def error_body() -> Shape:
    tape = Tape("JSON error", API, "json")
    error = {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}
    tape.body({"error": error}, error="RESOURCE_EXHAUSTED", complete=False)
    return tape.shape()


def shapes() -> Iterator[Shape]:
    """All of them."""
    makers = (text, thoughts, tools, server_tool, envelope, long_context, blocked, error_midway, whole, error_body)
    yield from (make() for make in makers)
    yield grounded(FLASH, GROUNDED_RATES)
    yield grounded(THREE, THREE_RATES)
    yield text("array")
    yield ended_otherwise("MAX_TOKENS", refused=False)
    yield ended_otherwise("SAFETY", refused=True)
