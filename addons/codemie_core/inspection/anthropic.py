"""What was said, in the words of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from codemie_core.inspection.talk import Asking, Kind, Message, Part
from codemie_core.inspection.words import SEALED, as_text, joined, media, said
from codemie_core.usage.json_values import count, rows, table, text, word


def asking(path: str, body: Mapping[str, object]) -> Asking:
    """A request. The results of tools are a user's message here."""
    system = body.get("system")
    return Asking(
        word(body.get("model")),
        body.get("stream") is True or ":streamRawPredict" in path,
        tuple(filter(None, [system] if isinstance(system, str) else [joined([each]) for each in rows(system)])),
        tuple(word(tool.get("name")) or word(tool.get("type")) for tool in map(table, rows(body.get("tools")))),
        tuple(_message(table(each)) for each in rows(body.get("messages"))),
    )


def streamed(events: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[Message, ...]:
    """An answer out of its events, as far as they came."""
    blocks: dict[int, dict[str, object]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    for name, body in events:
        index = count(body.get("index")) or 0
        match text(body.get("type")) or name:
            case "content_block_start":
                blocks[index] = dict(table(body.get("content_block")))
            case "content_block_delta":
                delta = table(body.get("delta"))
                for field in ("text", "thinking", "partial_json"):
                    if isinstance(piece := delta.get(field), str):
                        pieces.setdefault((index, field), []).append(piece)
                        blocks.setdefault(index, {"type": "tool_use" if field == "partial_json" else field})
    for (index, field), told in pieces.items():
        name = "input" if field == "partial_json" else field
        before = text(blocks[index].get(name))
        blocks[index][name] = before + "".join(told)
    return (Message("assistant", tuple(_parts(list(blocks.values())))),) if blocks else ()


def whole(body: Mapping[str, object]) -> tuple[Message, ...]:
    """An answer that was not streamed."""
    return (_message(body),) if body.get("content") else ()


def _message(message: Mapping[str, object]) -> Message:
    return Message(word(message.get("role")) or "assistant", tuple(_parts(message.get("content"))))


def _parts(content: object) -> Iterator[Part]:
    if isinstance(content, str):
        yield from said(Kind.TEXT, content)
    for block in map(table, rows(content)):
        yield from _part(text(block.get("type")), block)


def _part(kind: str, block: Mapping[str, object]) -> Iterator[Part]:
    if kind == "text":
        yield from said(Kind.TEXT, text(block.get("text")))
    elif kind == "thinking":
        yield Part(Kind.THINKING, text(block.get("thinking")) or SEALED)
    elif kind == "redacted_thinking":
        yield Part(Kind.THINKING, SEALED)
    elif kind.endswith("tool_use"):
        yield Part(Kind.CALL, as_text(block.get("input")), word(block.get("name")), word(block.get("id")))
    elif kind.endswith("tool_result"):
        # The API's default is false: what is not called an error has worked.
        failed = block.get("is_error") is True or text(table(block.get("content")).get("type")).endswith("_error")
        yield Part(Kind.RESULT, joined(block.get("content")), "", word(block.get("tool_use_id")), not failed)
    elif kind in ("image", "document"):
        source = table(block.get("source"))
        yield media(kind, word(source.get("media_type")), text(source.get("data")))
    elif kind:
        yield Part(Kind.NOTE, kind)
