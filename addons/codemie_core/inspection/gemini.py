"""What was said, in the words of Google's Gemini API. The Code Assist API puts it into an envelope."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from codemie_core.inspection.talk import Asking, Kind, Message, Part
from codemie_core.inspection.words import as_text, media, said
from codemie_core.usage.json_values import rows, table, text, word

_MODEL = re.compile(r"/(?:models|tunedModels)/([^/?:]+)")


def asking(path: str, body: Mapping[str, object]) -> Asking:
    """A request; the model is in the path, or in the envelope."""
    inner = table(body.get("request")) or body
    in_path = _MODEL.search(path)
    system = table(inner.get("systemInstruction") or inner.get("system_instruction"))
    offered = [table(tool) for tool in rows(inner.get("tools"))]
    declared = (
        table(each)
        for tool in offered
        for each in rows(tool.get("functionDeclarations") or tool.get("function_declarations"))
    )
    return Asking(
        word(in_path[1]) if in_path else word(body.get("model")),
        ":streamGenerateContent" in path,
        tuple(filter(None, (text(table(part).get("text")) for part in rows(system.get("parts"))))),
        (*(word(each.get("name")) for each in declared), *_own_tools(offered)),
        tuple(_message(table(each)) for each in _contents(inner.get("contents"))),
    )


def streamed(events: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[Message, ...]:
    """An answer out of its chunks, as far as they came: one message for each candidate."""
    candidates: dict[int, list[Part]] = {}
    for _, chunk in events:
        body = table(chunk.get("response")) or chunk
        for place, candidate in enumerate(map(table, rows(body.get("candidates")))):
            parts = candidates.setdefault(place, [])
            for part in _message(table(candidate.get("content"))).parts:
                _append(parts, part)
    return tuple(Message("assistant", tuple(parts)) for parts in candidates.values() if parts)


def whole(body: Mapping[str, object]) -> tuple[Message, ...]:
    """An answer that was not streamed."""
    return streamed([("", body)])


def _append(parts: list[Part], part: Part) -> None:
    """Text comes in pieces."""
    last = parts[-1] if parts else None
    if last is not None and last.kind is part.kind and part.kind in (Kind.TEXT, Kind.THINKING):
        parts[-1] = Part(part.kind, last.text + part.text)
    else:
        parts.append(part)


def _contents(contents: object) -> list[object]:
    return [contents] if isinstance(contents, dict) else list(rows(contents))


def _message(content: Mapping[str, object]) -> Message:
    role = word(content.get("role")) or "user"
    parts = (part for each in rows(content.get("parts")) for part in _part(table(each)))
    return Message("assistant" if role == "model" else role, tuple(parts))


def _part(part: Mapping[str, object]) -> Iterator[Part]:
    call = table(part.get("functionCall") or part.get("function_call"))
    result = table(part.get("functionResponse") or part.get("function_response"))
    blob = table(part.get("inlineData") or part.get("inline_data"))
    if call:
        yield Part(Kind.CALL, as_text(call.get("args")), word(call.get("name")), word(call.get("id")))
    elif result:
        answer = table(result.get("response"))
        said_back = next((answer[key] for key in ("output", "error") if len(answer) == 1 and key in answer), answer)
        ok = "error" not in answer
        yield Part(Kind.RESULT, as_text(said_back), word(result.get("name")), word(result.get("id")), ok)
    elif blob or part.get("fileData") or part.get("file_data"):
        kind = word(blob.get("mimeType")) or word(blob.get("mime_type"))
        yield media("file", kind, text(blob.get("data")))
    elif code := table(part.get("executableCode")):
        yield Part(Kind.CALL, text(code.get("code")), "code_execution")
    elif ran := table(part.get("codeExecutionResult")):
        ok = word(ran.get("outcome")) in ("", "OUTCOME_OK")
        yield Part(Kind.RESULT, text(ran.get("output")), "code_execution", "", ok)
    else:
        thought = part.get("thought") is True
        yield from said(Kind.THINKING if thought else Kind.TEXT, text(part.get("text")))


def _own_tools(offered: list[Mapping[str, object]]) -> Iterator[str]:
    """googleSearch, codeExecution, urlContext: tools that the provider runs."""
    for tool in offered:
        yield from (word(name) for name in tool if name not in ("functionDeclarations", "function_declarations"))
