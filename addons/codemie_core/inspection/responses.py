"""What was said, in the words of OpenAI's Responses API, over HTTP and over its WebSocket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from codemie_core.inspection.talk import Asking, Kind, Message, Part
from codemie_core.inspection.words import SEALED, as_text, joined, media, said
from codemie_core.usage.json_values import count, rows, table, text, word
from codemie_core.usage.responses import LAST_EVENTS

_ITEMS = ("response.output_item.added", "response.output_item.done")
_PIECES = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_ORDERS = ("system", "developer")

type Item = Mapping[str, object]


def asking(_path: str, body: Mapping[str, object]) -> Asking:
    """A request, or the message that asks for a turn on a WebSocket."""
    given = body.get("input")
    items = [table(each) for each in rows(given)]
    orders = [joined(each.get("content")) for each in items if each.get("role") in _ORDERS]
    messages = _messages(each for each in items if each.get("role") not in _ORDERS)
    if isinstance(given, str):
        messages = (Message("user", tuple(said(Kind.TEXT, given))),)
    earlier = word(body.get("previous_response_id"))
    if earlier:
        messages = (
            Message("earlier", (Part(Kind.NOTE, f"all that led to {earlier}; the provider has it"),)),
            *messages,
        )
    return Asking(
        word(body.get("model")),
        body.get("stream") is True or body.get("type") == "response.create",
        tuple(filter(None, (text(body.get("instructions")), *orders))),
        tuple(word(tool.get("name")) or word(tool.get("type")) for tool in map(table, rows(body.get("tools")))),
        messages,
    )


def streamed(events: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[Message, ...]:
    """An answer out of its events, as far as they came."""
    items: dict[int, Item] = {}
    pieces: dict[int, dict[str, list[str]]] = {}
    for name, body in events:
        kind = text(body.get("type")) or name
        place = count(body.get("output_index")) or 0
        if kind in _ITEMS:
            items[place] = table(body.get("item"))
            if kind.endswith(".done"):
                pieces.pop(place, None)
        elif kind in _PIECES:
            pieces.setdefault(place, {}).setdefault(_PIECES[kind], []).append(text(body.get("delta")))
        elif kind in LAST_EVENTS and not items:
            return whole(table(body.get("response")))
    parts = [
        part
        for place in sorted(items.keys() | pieces.keys())
        for part in (_unfinished(items.get(place, {}), pieces[place]) if place in pieces else _item(items[place]))
    ]
    return (Message("assistant", tuple(parts)),) if parts else ()


def whole(body: Mapping[str, object]) -> tuple[Message, ...]:
    """An answer that was not streamed, or the response that a last event repeats."""
    parts = tuple(part for item in rows(body.get("output")) for part in _item(table(item)))
    return (Message("assistant", parts),) if parts else ()


def _unfinished(item: Item, told: Mapping[str, list[str]]) -> Iterator[Part]:
    """An item whose end never came."""
    yield from said(Kind.THINKING, "".join(told.get("thinking", ())))
    yield from said(Kind.TEXT, "".join(told.get("text", ())))
    if "arguments" in told or item.get("call_id"):
        yield Part(Kind.CALL, "".join(told.get("arguments", ())), word(item.get("name")), word(item.get("call_id")))


def _messages(items: Iterable[Item]) -> tuple[Message, ...]:
    """Items stand alone; neighbors of one side are one message."""
    found: list[Message] = []
    for item in items:
        role, parts = _role(item), tuple(_item(item))
        if found and found[-1].role == role:
            found[-1] = Message(role, (*found[-1].parts, *parts))
        elif parts:
            found.append(Message(role, parts))
    return tuple(found)


def _role(item: Item) -> str:
    if role := word(item.get("role")):
        return role
    return "tool" if text(item.get("type")).endswith("_output") else "assistant"


def _item(item: Item) -> Iterator[Part]:
    kind = text(item.get("type")) or ("message" if item.get("role") else "")
    if kind == "message":
        yield from _content(item.get("content"))
    elif kind == "reasoning":
        thoughts = [text(table(each).get("text")) for each in (*rows(item.get("summary")), *rows(item.get("content")))]
        yield Part(Kind.THINKING, "\n\n".join(filter(None, thoughts)) or SEALED)
    elif kind.endswith("_output"):
        output = item.get("output")
        yield Part(Kind.RESULT, joined(output), "", word(item.get("call_id")))
    elif kind.endswith("_call"):
        given = item.get("arguments") or item.get("input") or item.get("action") or item.get("operation")
        name = word(item.get("name")) or kind.removesuffix("_call")
        yield Part(Kind.CALL, as_text(given), name, word(item.get("call_id")))
    elif kind:
        yield Part(Kind.NOTE, kind)


def _content(content: object) -> Iterator[Part]:
    if isinstance(content, str):
        yield from said(Kind.TEXT, content)
    for part in map(table, rows(content)):
        kind = text(part.get("type"))
        if words := text(part.get("text")) or text(part.get("refusal")):
            yield Part(Kind.TEXT, words)
        elif kind not in ("", "input_text", "output_text", "refusal"):
            yield media(kind, "", text(part.get("image_url")) or text(part.get("file_data")))
