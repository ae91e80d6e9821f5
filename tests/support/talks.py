"""One conversation in the words of each API: a request, the streamed answer to it, and the request that follows.

Ann asks; the model has read a file and now wants to run the tests; they fail. What was said holds HTML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codemie_core.demo.frames import sse
from codemie_core.inspection.talk import Kind, Message, Part

ASKED = "Why does it fail? <script>document.title = 'owned'</script><b>bold</b>"
ORDERS = "Be brief."
READ = "def total(items):\n    return sum(items)"
THOUGHT = "I should run the tests."
SAID = "I run the tests."
COMMAND = "pytest -x\ngit status"
CAME_BACK = "1 failed"
TOOLS = ("Read", "Bash")
CONVERSATION = "talk-1"


@dataclass(frozen=True, slots=True)
class Talk:
    """`ids` of the two calls, "" where the API has none. `told`: does it say how a tool went?"""

    api: str
    path: str
    headers: Mapping[str, str]
    request: Mapping[str, Any]
    events: tuple[bytes, ...]
    following: Mapping[str, Any]
    ids: tuple[str, str]
    tokens: str
    stopped: str
    told: bool = True

    @property
    def answer(self) -> tuple[Message, ...]:
        """What the events say."""
        command = json.dumps({"command": COMMAND})
        parts = (Part(Kind.THINKING, THOUGHT), Part(Kind.TEXT, SAID), Part(Kind.CALL, command, "Bash", self.ids[1]))
        return (Message("assistant", parts),)


def _data(*bodies: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(sse(json.dumps(body), body.get("type", "")) for body in bodies)


def anthropic() -> Talk:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "cart.py"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": READ}]}
    before = [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
        {"role": "user", "content": [result]},
    ]
    second = {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": COMMAND}}
    failed = {"type": "tool_result", "tool_use_id": "toolu_2", "content": CAME_BACK, "is_error": True}
    request = {
        **{"model": "claude-opus-4-5", "stream": True, "max_tokens": 99, "system": ORDERS, "messages": before},
        "tools": [{"name": name, "input_schema": {}} for name in TOOLS],
    }
    arguments = json.dumps({"command": COMMAND})
    events = _data(
        {
            "type": "message_start",
            "message": {
                "model": "claude-opus-4-5",
                "id": "msg_1",
                "usage": {"input_tokens": 12, "cache_read_input_tokens": 1500, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": THOUGHT[:8]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": THOUGHT[8:]}},
        {"type": "content_block_stop", "index": 0},
        {"type": "ping"},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": SAID}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": arguments[:9]},
        },
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": arguments[9:]},
        },
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 40}},
        {"type": "message_stop"},
    )
    following = {
        **request,
        "messages": [*before, {"role": "assistant", "content": [second]}, {"role": "user", "content": [failed]}],
    }
    headers = {"user-agent": "claude-cli/2.1", "x-claude-code-session-id": CONVERSATION}
    tokens = "1,512 read (1,500 from cache), 40 written"
    ids = ("toolu_1", "toolu_2")
    return Talk("anthropic", "/v1/messages", headers, request, events, following, ids, tokens, "tool_use")


def chat() -> Talk:
    def call(id_: str, name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        return {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}

    before = [
        {"role": "system", "content": ORDERS},
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("call_1", "Read", {"path": "cart.py"})]},
        {"role": "tool", "tool_call_id": "call_1", "content": READ},
    ]
    request = {
        **{"model": "gpt-5", "stream": True, "stream_options": {"include_usage": True}, "messages": before},
        "tools": [{"type": "function", "function": {"name": name}} for name in TOOLS],
    }
    arguments = json.dumps({"command": COMMAND})

    def chunk(delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "chatcmpl-1", "model": "gpt-5", "choices": [choice]}

    usage = {"prompt_tokens": 1512, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 1500}}
    begun = {"index": 0, "id": "call_2", "type": "function", "function": {"name": "Bash", "arguments": ""}}
    events = _data(
        chunk({"role": "assistant", "reasoning_content": THOUGHT[:8]}),
        chunk({"reasoning_content": THOUGHT[8:]}),
        chunk({"content": SAID}),
        chunk({"tool_calls": [begun]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[:9]}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[9:]}}]}),
        chunk({}, "tool_calls"),
        {"id": "chatcmpl-1", "model": "gpt-5", "choices": [], "usage": usage},
    )
    second = {"role": "assistant", "content": None, "tool_calls": [call("call_2", "Bash", {"command": COMMAND})]}
    following = {
        **request,
        "messages": [*before, second, {"role": "tool", "tool_call_id": "call_2", "content": CAME_BACK}],
    }
    headers = {"x-session-id": CONVERSATION}
    tokens = "1,512 read (1,500 from cache), 40 written"
    end = (*events, b"data: [DONE]\n\n")
    ids = ("call_1", "call_2")
    return Talk(
        "openai-chat", "/v1/chat/completions", headers, request, end, following, ids, tokens, "tool_calls", told=False
    )


def responses() -> Talk:
    def call(id_: str, name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        return {"type": "function_call", "call_id": id_, "name": name, "arguments": json.dumps(arguments)}

    before = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASKED}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        call("call_1", "Read", {"path": "cart.py"}),
        {"type": "function_call_output", "call_id": "call_1", "output": READ},
    ]
    request = {
        **{"model": "gpt-5", "stream": True, "instructions": ORDERS, "input": before},
        "tools": [{"type": "function", "name": name} for name in TOOLS],
    }
    second = call("call_2", "Bash", {"command": COMMAND})
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": THOUGHT}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": SAID}]}
    usage = {
        **{"input_tokens": 1512, "output_tokens": 40, "total_tokens": 1552},
        **{"input_tokens_details": {"cached_tokens": 1500}, "output_tokens_details": {"reasoning_tokens": 8}},
    }
    begun = {"id": "resp_1", "model": "gpt-5", "status": "in_progress", "output": []}
    events = _data(
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": THOUGHT},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": {**said, "content": []}},
        {"type": "response.output_text.delta", "output_index": 1, "delta": SAID},
        {"type": "response.output_item.done", "output_index": 1, "item": said},
        {"type": "response.output_item.added", "output_index": 2, "item": {**second, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": second["arguments"]},
        {"type": "response.output_item.done", "output_index": 2, "item": second},
        {
            "type": "response.completed",
            "response": {**begun, "status": "completed", "output": [thought, said, second], "usage": usage},
        },
    )
    following = {
        **request,
        "input": [*before, second, {"type": "function_call_output", "call_id": "call_2", "output": CAME_BACK}],
    }
    headers = {"user-agent": "codex_cli_rs/0.169", "session-id": CONVERSATION}
    tokens = "1,512 read (1,500 from cache), 40 written (8 reasoning)"
    ids = ("call_1", "call_2")
    return Talk(
        "openai-responses", "/v1/responses", headers, request, events, following, ids, tokens, "completed", told=False
    )


def gemini() -> Talk:
    before = [
        {"role": "user", "parts": [{"text": ASKED}]},
        {
            "role": "model",
            "parts": [{"text": "I look."}, {"functionCall": {"name": "Read", "args": {"path": "cart.py"}}}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "Read", "response": {"output": READ}}}]},
    ]
    request = {
        "systemInstruction": {"parts": [{"text": ORDERS}]},
        "contents": before,
        "tools": [{"functionDeclarations": [{"name": name} for name in TOOLS]}],
    }
    call = {"functionCall": {"name": "Bash", "args": {"command": COMMAND}}}
    usage = {
        **{"promptTokenCount": 1512, "cachedContentTokenCount": 1500, "candidatesTokenCount": 32},
        **{"thoughtsTokenCount": 8, "totalTokenCount": 1552},
    }

    def chunk(part: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": [part]}, **more}
        return {"candidates": [candidate], "modelVersion": "gemini-2.5-pro", "usageMetadata": usage}

    events = _data(
        chunk({"text": THOUGHT[:8], "thought": True}),
        chunk({"text": THOUGHT[8:], "thought": True}),
        chunk({"text": SAID[:4]}),
        chunk({"text": SAID[4:]}),
        chunk(call, finishReason="STOP"),
    )
    failed = {"functionResponse": {"name": "Bash", "response": {"error": CAME_BACK}}}
    following = {
        **request,
        "contents": [*before, {"role": "model", "parts": [call]}, {"role": "user", "parts": [failed]}],
    }
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    headers = {"x-session-id": CONVERSATION}
    tokens = "1,512 read (1,500 from cache), 40 written (8 reasoning)"
    return Talk("gemini", path, headers, request, events, following, ("", ""), tokens, "STOP")


def plainly(talk: Talk) -> Talk:
    """The same without HTML in it, for pictures."""

    def said(body: Mapping[str, Any]) -> Any:
        return json.loads(json.dumps(body).replace(json.dumps(ASKED)[1:-1], "Why does it fail?"))

    return replace(talk, request=said(talk.request), following=said(talk.following))


TALKS = (anthropic(), chat(), responses(), gemini())
