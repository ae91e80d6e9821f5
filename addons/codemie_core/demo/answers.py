"""From a request and its step to an answer: status, headers and a body or its events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from codemie_core.demo.answers_anthropic import AnthropicMessages
from codemie_core.demo.answers_chat import OpenAIChat
from codemie_core.demo.answers_gemini import Gemini
from codemie_core.demo.answers_responses import OpenAIResponses
from codemie_core.demo.dialect import Ask, Dialect
from codemie_core.demo.frames import TEXT, big_frames, dumps, words
from codemie_core.demo.received import Received
from codemie_core.demo.script import Framing, Step

MODEL = "demo-model"
_ANTHROPIC, _CHAT, _RESPONSES, _GEMINI = AnthropicMessages(), OpenAIChat(), OpenAIResponses(), Gemini()


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is bytes known as a whole, or the frames of an event stream, made when asked for."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | Iterator[bytes]


def answer_for(received: Received, step: Step, serial: int, message: str | None = None) -> Answer:
    """Answer a request, or one WebSocket `message` of it."""
    dialect = _dialect(received)
    if step.body is not None:
        body = step.body.encode() if isinstance(step.body, str) else step.body
        return _answer(step, body, "application/json" if body else None)
    if step.status != 200:
        return _answer(step, _json(dialect.error(step.status)), status=step.status)
    ask = _ask(received, serial, received.body if message is None else message)
    if message is not None or ask.stream or not isinstance(step.events, int | None) or step.big:
        return _answer(step, _stream(dialect, ask, step), "text/event-stream; charset=utf-8")
    if step.error_event or step.opening:
        return _answer(step, _stream(dialect, ask, step), "text/event-stream; charset=utf-8")
    status, value = _whole(received, dialect, ask, step)
    return _answer(step, b"" if value is None else _json(value), status=status)


def _dialect(received: Received) -> Dialect:
    path = received.path
    if "GenerateContent" in path or ":generateContent" in path or received.header("x-goog-api-key"):
        return _GEMINI
    if path.startswith("/v1/responses"):
        return _RESPONSES
    if path.startswith("/v1/messages") or received.header("anthropic-version"):
        return _ANTHROPIC
    return _CHAT


def _ask(received: Received, serial: int, content: bytes | str) -> Ask:
    try:
        request = json.loads(content) if content else {}
    except (ValueError, RecursionError):  # compressed, no JSON, or nested without end: answered all the same
        request = {}
    if not isinstance(request, dict):
        request = {}
    path = received.path
    model = str(request.get("model") or MODEL)
    if "/models/" in path and ":" in path:
        model = path.rpartition("/models/")[2].partition(":")[0]
    options = request.get("stream_options")
    return Ask(
        serial=serial,
        model=model,
        stream=request.get("stream") is True or path.endswith(":streamGenerateContent"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        input_tokens=max(1, len(content) // 4),
    )


def _stream(dialect: Dialect, ask: Ask, step: Step) -> Iterator[bytes]:
    yield from step.opening
    if step.big:
        frames = big_frames(step.big)
    elif isinstance(step.events, int | None):
        text = TEXT if step.text is None else step.text
        frames = dialect.stream(ask, words(text, step.events, step.stamp))
    else:
        frames = iter(step.events)
    if not step.error_event:
        yield from frames
        return
    yield from islice(frames, step.error_at)
    yield dialect.error_event()


def _whole(received: Received, dialect: Dialect, ask: Ask, step: Step) -> tuple[int, Mapping[str, Any] | None]:
    text = TEXT if step.text is None else step.text
    match received.method, received.path:
        case "POST", "/v1/messages/count_tokens":
            return 200, {"input_tokens": ask.input_tokens}
        case "POST", "/v1/messages" | "/v1/chat/completions" | "/v1/responses":
            return 200, dialect.whole(ask, text)
        case "POST", path if path.endswith(":generateContent"):
            return 200, dialect.whole(ask, text)
        case "GET", "/v1/models" | "/v1beta/models":
            return 200, _models(dialect)
        case "HEAD", "/":
            return 200, None
    return 404, dialect.error(404)


def _models(dialect: Dialect) -> Mapping[str, Any]:
    if dialect is _GEMINI:
        return {"models": [{"name": f"models/{MODEL}", "displayName": "Demo model"}]}
    if dialect is _CHAT:
        model = {"id": MODEL, "object": "model", "created": 1760000000, "owned_by": "demo"}
        return {"object": "list", "data": [model]}
    created = "2025-10-09T08:53:20Z"
    shown = {"type": "model", "id": MODEL, "display_name": "Demo model", "created_at": created}
    return {
        "data": [{**shown, "lifecycle": "active"}],
        "has_more": False,
        "first_id": MODEL,
        "last_id": MODEL,
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return dumps(value).encode()


def _answer(
    step: Step,
    body: bytes | Iterator[bytes],
    content_type: str | None = "application/json",
    status: int | None = None,
) -> Answer:
    if step.framing is Framing.LENGTH and not isinstance(body, bytes) and step.content_length is None:
        body = b"".join(body)  # a true length cannot be told before the end is known
    headers = [("content-type", content_type)] if content_type and body else []
    if not isinstance(body, bytes):
        headers.append(("cache-control", "no-cache"))
    if step.encoding:
        headers.append(("content-encoding", step.encoding))
    given = {name.lower() for name, _ in step.headers}
    headers = [(name, value) for name, value in headers if name not in given]
    return Answer(status or step.status, [*headers, *step.headers], body)
