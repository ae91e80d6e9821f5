"""Reads answers of OpenAI's Responses API: streams, whole bodies, and the frames of its WebSocket.

https://platform.openai.com/docs/api-reference/responses-streaming: the last event repeats the whole answer, with its
usage; cached tokens are counted within `input_tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from codemie_core.json_text import loads
from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.draft import Draft
from codemie_core.usage.json_values import count, error_kind, plain_length, rows, table, text, word, written
from codemie_core.usage.openai_counts import OpenAiCounts

LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.done"})
_BEGINNINGS = ("response.created", "response.queued", "response.in_progress")
_ITEMS = ("response.output_item.added", "response.output_item.done")
_WHOLE_ARGUMENTS = ("response.function_call_arguments.done", "response.custom_tool_call_input.done")
_SERVER_RUN = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"}
)
_MOST_SERVER_CALLS = 1000
_TYPE = re.compile(r'\s*\{\s*"type"\s*:\s*"([a-z_.]+)"')
_DELTA = '"delta":"'


class ResponsesReader:
    """One answer."""

    def __init__(self) -> None:
        self._draft = Draft[int | str]()
        self._counts = OpenAiCounts()
        self._server_calls: dict[int | str, str] = {}
        self._searches: int | None = None
        """What the API itself counts of them, once it has."""
        self._items_done = False

    def feed(self, event: SseEvent, at_ms: float) -> None:
        """One event of the stream, or one frame of the server as an event without a name."""
        self._draft.events += 1
        data = event.data
        kind = event_type(data) if event.event == "message" else event.event
        if kind.endswith(".delta"):
            self._delta(kind, data, at_ms)
        elif kind in _ITEMS:
            # Messages and reasoning are long and were told in pieces: only calls are read once more.
            if '_call"' in data:
                body = table(loads(data))
                self._item(_place(body), table(body.get("item")), kind.endswith(".done"), at_ms)
        elif kind in _WHOLE_ARGUMENTS:
            body = table(loads(data))
            if call := self._draft.known_call(_place(body)):
                call.settle(text(body.get("arguments")) or text(body.get("input")))
        elif kind in LAST_EVENTS:
            self._last(table(table(loads(data)).get("response")), kind)
        elif kind in _BEGINNINGS:
            if not self._draft.response_id:
                self._begin(table(table(loads(data)).get("response")))
        elif kind == "error":
            self._draft.error = error_kind(table(loads(data))) or "error"

    def whole(self, body: object) -> None:
        """A response that was not streamed."""
        response = table(body)
        status = text(response.get("status"))
        if table(response.get("error")) and not status:
            self._draft.error = error_kind(response) or "error"
        elif status in ("queued", "in_progress"):
            self._begin(response)
        elif response:
            self._last(response, "")

    def answer(self) -> Answer:
        """What has been seen so far."""
        names = list(self._server_calls.values())
        called = {name: names.count(name) for name in names}
        if self._searches is not None:
            called["web_search"] = self._searches
        return self._draft.answer(self._counts.usage({name: number for name, number in called.items() if number}))

    def _begin(self, response: Mapping[str, object]) -> None:
        self._draft.named(response.get("model"), response.get("id"))
        self._counts.served_as(response.get("service_tier"))
        self._counts.take(table(response.get("usage")))

    def _delta(self, kind: str, data: str, at_ms: float) -> None:
        draft = self._draft
        length = plain_length(data, _DELTA)
        calls = "_call" in kind
        piece = ""
        if length < 0 or calls:
            body = table(loads(data))
            piece = text(body.get("delta"))
            length = len(piece)
            if calls and (call := draft.known_call(_place(body))):
                call.add(piece)
        if length:
            draft.token(at_ms)
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            draft.text_chars += length
            draft.refusal = draft.refusal or kind == "response.refusal.delta"

    def _item(self, place: int | str, item: Mapping[str, object], done: bool, at_ms: float | None) -> None:
        kind = text(item.get("type"))
        if not kind.endswith("_call"):
            return
        if not done:
            self._draft.token(at_ms)
        self._items_done = self._items_done or done
        if kind in _SERVER_RUN:
            if done:
                self._server_call(place, kind, item)
        elif item.get("call_id") and item.get("execution") != "server" and (call := self._draft.call(place)):
            call.named(item.get("call_id"), item.get("name") or kind.removesuffix("_call"))
            if done and item.get("status") != "incomplete":
                call.settle(_arguments(item))

    def _server_call(self, place: int | str, kind: str, item: Mapping[str, object]) -> None:
        # Opening and searching a page that was found are calls of the same name and cost nothing.
        what = table(item.get("action")).get("type", "search") if kind == "web_search_call" else "search"
        if what == "search" and item.get("status") != "failed" and len(self._server_calls) < _MOST_SERVER_CALLS:
            self._server_calls[place] = kind.removesuffix("_call")

    def _last(self, response: Mapping[str, object], kind: str) -> None:
        draft = self._draft
        self._begin(response)
        status = word(response.get("status")) or kind.removeprefix("response.")
        details = table(response.get("incomplete_details"))
        draft.stop_reason = (word(details.get("reason")) if status == "incomplete" else "") or status
        draft.refusal = draft.refusal or draft.stop_reason == "content_filter"
        if status == "failed":
            draft.error = error_kind(response)
        output = [table(each) for each in rows(response.get("output"))]
        if not self._items_done:
            for place, item in enumerate(output):
                self._item(place, item, True, None)
        if not draft.text_chars:
            self._words(output)
        self._searches = count(table(table(response.get("tool_usage")).get("web_search")).get("num_requests"))
        draft.complete = True

    def _words(self, output: list[Mapping[str, object]]) -> None:
        """The text of an answer that was not told in pieces."""
        for part in (table(part) for item in output for part in rows(item.get("content"))):
            refusal = text(part.get("refusal"))
            self._draft.refusal = self._draft.refusal or bool(refusal)
            if part.get("type") in ("output_text", "refusal"):
                self._draft.text_chars += len(text(part.get("text")) or refusal)


def event_type(data: str) -> str:
    """What kind of event this JSON is, without parsing all of it; "" when it does not say."""
    found = _TYPE.match(data)
    return found[1] if found else text(table(loads(data)).get("type"))


def _place(body: Mapping[str, object]) -> int | str:
    """What all events of one item share. The ids that some gateways send change from event to event."""
    index = count(body.get("output_index"))
    return word(body.get("item_id")) or word(table(body.get("item")).get("id")) if index is None else index


def _arguments(item: Mapping[str, object]) -> str:
    said = text(item.get("arguments")) or text(item.get("input"))
    given = table(item.get("action")) or table(item.get("operation")) or table(item.get("arguments"))
    return said or (written(given) if given else "")
