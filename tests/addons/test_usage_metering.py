"""Metering, in process: which exchange makes which record, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode

from codemie_core.addon import Addon
from codemie_core.errors import Problem
from codemie_core.exchange import Terminal, exchange_of
from codemie_core.refusal import refuse
from codemie_core.usage import clerk
from codemie_core.usage.record import Record
from codemie_core.usage.turn import Turn
from support import core_room
from support.core_room import Room, request
from usage_metering import UsageMetering

PROMPT = {"role": "user", "content": "words that must not stay"}
ASKED = {"model": "claude-opus-4-6", "stream": True, "messages": [PROMPT]}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}}
ARGUMENTS = json.dumps({"file_path": "/a/b.py", "content": "x\ny"})
BEGUN = {"id": "msg_1", "model": "claude-opus-4-6", "usage": {"input_tokens": 10, "output_tokens": 1}}
STREAM: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": BEGUN},
    {"type": "content_block_start", "index": 0, "content_block": CALL},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ARGUMENTS}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 40}},
    {"type": "message_stop"},
)


def frames(*events: dict[str, Any]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def asking(raw: bytes, path: str = "/v1/messages", session: str = "") -> http.HTTPFlow:
    flow = request(method=b"POST", content=raw)
    flow.request.path = path
    if session:
        flow.request.headers["x-claude-code-session-id"] = session
    return flow


class Listener(Addon, priority=70, name="listener"):
    """Hears of records; slow, and fails once."""

    def __init__(self) -> None:
        self.heard: list[Record] = []

    async def usage_recorded(self, record: Record) -> None:
        """One more."""
        await asyncio.sleep(0.001)
        self.heard.append(record)
        if len(self.heard) == 1:
            raise RuntimeError("a listener may fail")


class Metered:
    """A proxy with the addon at work and somebody who listens."""

    def __init__(self, room: Room, addon: UsageMetering, listener: Listener) -> None:
        self.room, self.addon, self.listener = room, addon, listener

    async def records(self) -> list[Record]:
        """All there are by now."""
        await self.addon.drain()
        return self.listener.heard

    async def asked(self, path: str = "/v1/messages", body: object = ASKED, session: str = "") -> http.HTTPFlow:
        """A request on its way out."""
        flow = asking(json.dumps(body).encode(), path, session)
        await self.room.fire("requestheaders", flow)
        await self.room.fire("request", flow)
        exchange_of(flow).streamed = True
        return flow

    async def answered(
        self, flow: http.HTTPFlow, *chunks: bytes, kind: str = "text/event-stream", status: int = 200
    ) -> None:
        """Its whole answer, on its way to the client."""
        flow.response = tutils.tresp(status_code=status, headers=http.Headers(content_type=kind), content=b"")
        await self.room.fire("responseheaders", flow)
        for chunk in chunks:
            if callable(flow.response.stream):
                assert flow.response.stream(chunk) == chunk
        await self.room.fire("response", flow)


@pytest.fixture
async def metered(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Metered]:
    """Without pauses."""
    monkeypatch.setattr(clerk, "PAUSE", 0.0)
    addon, listener = UsageMetering(), Listener()
    async with core_room.running(addon, listener) as room:
        await asyncio.sleep(0)
        yield Metered(room, addon, listener)


async def test_a_streamed_turn_is_recorded(metered: Metered) -> None:
    flow = await metered.asked(session="c-1")
    await metered.answered(flow, *frames(*STREAM))
    (record,) = await metered.records()
    assert (record.model, record.api, record.usage.input, record.usage.output) == (
        "claude-opus-4-6",
        "anthropic",
        10,
        40,
    )
    assert (record.terminal, record.complete, record.stop_reason, record.prompts) == ("complete", True, "tool_use", 1)
    (use,) = record.tools
    assert (use.call.name, use.files[0].path, use.files[0].lines_added) == ("Write", "/a/b.py", 2)
    assert record.cost.nano_usd == 10 * 5_000 + 40 * 25_000
    assert "must not stay" not in repr(record)


async def test_the_next_request_tells_how_the_tools_went(metered: Metered) -> None:
    await metered.answered(await metered.asked(session="c-1"), *frames(*STREAM))
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "no"}
    history = [PROMPT, {"role": "assistant", "content": [CALL]}]
    body = {**ASKED, "messages": [*history, {"role": "user", "content": [result]}]}
    await metered.answered(await metered.asked(body=body, session="c-1"), *frames(*STREAM))
    first, second = await metered.records()
    assert [(done.call_id, done.name, done.ok, done.record_id) for done in second.done] == [
        ("toolu_1", "Write", False, first.id)
    ]
    assert (first.prompts, second.prompts) == (1, 0)


async def test_a_body_that_is_no_stream_is_recorded(metered: Metered) -> None:
    body = {
        "id": "m",
        "type": "message",
        "model": "claude-opus-4-6",
        "content": [],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    await metered.answered(await metered.asked(), json.dumps(body).encode(), kind="application/json")
    (record,) = await metered.records()
    assert (record.usage.total, record.streamed, record.complete) == (7, False, True)


async def test_a_failed_turn_is_recorded_without_numbers(metered: Metered) -> None:
    flow = await metered.asked()
    await metered.answered(flow, b'{"usage": {"input_tokens": 5}}', kind="application/json", status=529)
    (record,) = await metered.records()
    assert (record.status, record.terminal, record.ok) == (529, "upstream_error", False)
    assert (record.usage.total, record.cost.nano_usd, record.model) == (None, None, "claude-opus-4-6")


async def test_a_client_that_leaves_is_recorded_with_what_it_had(metered: Metered) -> None:
    flow = await metered.asked()
    flow.response = tutils.tresp(headers=http.Headers(content_type="text/event-stream"), content=b"")
    await metered.room.fire("responseheaders", flow)
    assert callable(flow.response.stream)
    flow.response.stream(frames(*STREAM)[0])
    exchange_of(flow).end(Terminal.CLIENT_CANCELLED)
    flow.error = tflow.terr("Client disconnected.")
    await metered.room.fire("error", flow)
    (record,) = await metered.records()
    assert (record.terminal, record.complete, record.usage.input, record.usage.output) == (
        "client_cancelled",
        False,
        10,
        1,
    )


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models", "/health", "/api/event_logging/batch"])
async def test_what_is_no_turn_of_a_model_is_not_recorded(metered: Metered, path: str) -> None:
    await metered.answered(await metered.asked(path), b"{}", kind="application/json")
    assert await metered.records() == []


async def test_who_is_turned_away_at_the_door_is_not_recorded(metered: Metered) -> None:
    flow = asking(b"{}")
    await metered.room.fire("requestheaders", flow)
    refuse(flow, Problem(401, "no_key", "A key is needed."))
    await metered.room.fire("request", flow)
    await metered.room.fire("response", flow)
    assert await metered.records() == []


async def test_who_finds_no_account_is_recorded(metered: Metered) -> None:
    flow = asking(json.dumps(ASKED).encode())
    await metered.room.fire("requestheaders", flow)
    refuse(flow, Problem(503, "pool_exhausted", "All accounts rest."))
    await metered.room.fire("request", flow)
    await metered.room.fire("response", flow)
    (record,) = await metered.records()
    assert (record.status, record.terminal, record.error) == (503, "refused", "pool_exhausted")


async def upgraded(metered: Metered) -> http.HTTPFlow:
    flow = tflow.twebsocketflow(messages=False)
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://api.openai.com")
    flow.request.path, flow.request.headers["upgrade"] = "/v1/responses", "websocket"
    response, flow.response = flow.response, None
    await metered.room.fire("requestheaders", flow)
    await metered.room.fire("request", flow)
    flow.response = response
    return flow


async def said(metered: Metered, flow: http.HTTPFlow, from_client: bool, **message: object) -> None:
    assert flow.websocket is not None
    flow.websocket.messages.append(WebSocketMessage(Opcode.TEXT, from_client, json.dumps(message).encode()))
    await metered.room.fire("websocket_message", flow)


async def test_each_turn_of_a_websocket_is_recorded(metered: Metered) -> None:
    flow = await upgraded(metered)
    for tokens in (5, 6):
        await said(metered, flow, True, type="response.create", model="gpt-5", input="words")
        usage = {"input_tokens": 9, "output_tokens": tokens, "total_tokens": 9 + tokens}
        done = {"id": f"r{tokens}", "model": "gpt-5", "status": "completed", "usage": usage, "output": []}
        await said(metered, flow, False, type="response.completed", response=done)
    await said(metered, flow, True, type="response.create", model="gpt-5", input="words")
    assert [record.usage.output for record in await metered.records()] == [5, 6]
    await metered.room.fire("websocket_end", flow)
    records = await metered.records()
    assert [record.id.rpartition(".")[2] for record in records] == ["1", "2", "3"]
    assert [record.complete for record in records] == [True, True, False]


@pytest.mark.parametrize("left", [True, False])
async def test_a_turn_of_a_websocket_that_is_cut_has_the_ending_of_its_exchange(left: bool, metered: Metered) -> None:
    flow = await upgraded(metered)
    await said(metered, flow, True, type="response.create", model="gpt-5", input="words")
    if left:  # The layer of the WebSocket says so.
        exchange_of(flow).end(Terminal.CLIENT_CANCELLED)
    await metered.room.fire("websocket_end", flow)
    (record,) = await metered.records()
    assert (record.terminal, record.error) == ("client_cancelled" if left else "truncated", "")


async def test_questions_over_a_websocket_that_wait_for_one_another_are_each_counted_once(metered: Metered) -> None:
    flow = await upgraded(metered)
    for model in "abc":
        await said(metered, flow, True, type="response.create", model=model, input="words")
    for model in "abc":
        done = {"model": model, "status": "completed", "usage": {"input_tokens": 9, "output_tokens": ord(model)}}
        await said(metered, flow, False, type="response.completed", response=done)
    records = await metered.records()
    assert [(one.model_asked, one.model_served, one.usage.output) for one in records] == [
        (model, model, ord(model)) for model in "abc"
    ]
    await metered.room.fire("websocket_end", flow)
    assert len(await metered.records()) == 3


async def test_a_question_that_is_kept_from_the_upstream_is_no_turn(metered: Metered) -> None:
    flow = await upgraded(metered)
    assert flow.websocket is not None
    flow.websocket.messages.append(WebSocketMessage(Opcode.TEXT, True, b'{"type":"response.create"}'))
    flow.websocket.messages[-1].drop()
    await metered.room.fire("websocket_message", flow)
    await metered.room.fire("websocket_end", flow)
    assert await metered.records() == []


async def test_nothing_is_kept_of_exchanges_that_have_ended(metered: Metered) -> None:
    for _ in range(3):
        await metered.answered(await metered.asked(), *frames(*STREAM))
    assert len(await metered.records()) == 3
    assert (metered.addon._turns, metered.addon._sockets) == ({}, {})
    assert metered.addon.health()["turns"] == 3


async def test_without_the_attempt_machine_the_answer_is_read_at_its_end(metered: Metered) -> None:
    flow = await metered.asked()
    exchange_of(flow).streamed = False
    body = gzip.compress(b"".join(frames(*STREAM)))
    headers = http.Headers(content_type="text/event-stream", content_encoding="gzip")
    flow.response = tutils.tresp(headers=headers, content=body)
    await metered.room.fire("responseheaders", flow)
    await metered.room.fire("response", flow)
    (record,) = await metered.records()
    assert (record.complete, record.usage.output, record.response_bytes) == (True, 40, len(body))


async def test_switched_off_and_on_again_it_counts_with_what_is_new(metered: Metered) -> None:
    await metered.asked()
    metered.addon.switch(False)
    assert not metered.addon._turns, "how they end is not seen"
    metered.addon.switch(True)
    history = metered.addon._history
    deadline = time.monotonic() + 60
    while any(task.get_name() == "stop usage_metering" for task in asyncio.all_tasks()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert metered.addon._history is history
    await metered.answered(await metered.asked(), *frames(*STREAM))
    (record,) = await metered.records()
    assert record.complete


@pytest.mark.parametrize("kept", [True, False])
async def test_what_was_said_over_a_websocket_is_kept_turn_by_turn_where_that_is_wanted(
    kept: bool, metered: Metered, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[Turn] = []
    metered.room.options.update(codemie_usage_metering_payloads=kept)
    flow = await upgraded(metered)
    monkeypatch.setattr(metered.addon, "_put", put.append)
    for words in ("one", "two"):
        await said(metered, flow, True, type="response.create", input=words)
        await said(metered, flow, False, type="response.output_text.delta", delta=words)
        await said(metered, flow, False, type="response.completed")
    await said(metered, flow, True, type="response.create", input="three")
    await metered.room.fire("websocket_end", flow)
    kept_words = [turn.payload.response.ends()[0] for turn in put if turn.payload is not None]
    events = (
        'data: {{"type": "response.output_text.delta", "delta": "{}"}}\n\ndata: {{"type": "response.completed"}}\n\n'
    )
    assert kept_words == ([*(events.format(words) for words in ("one", "two")), ""] if kept else [])
    for turn in put:
        if turn.payload is not None:
            assert turn.payload.request_headers == flow.request.headers.fields
            assert turn.payload.at_ms >= round(exchange_of(flow).started_at * 1000)


async def test_a_websocket_that_was_open_before_it_was_switched_on_is_counted_from_then_on(metered: Metered) -> None:
    flow = await upgraded(metered)
    await said(metered, flow, True, type="response.create", model="before", input="words")
    metered.addon.switch(False)
    metered.addon.switch(True)
    await said(metered, flow, True, type="response.create", model="after", input="words")
    await said(metered, flow, False, type="response.completed", response={"status": "completed"})
    assert [record.model_asked for record in await metered.records()] == ["after"]
    await metered.room.fire("websocket_end", flow)
    assert metered.addon._sockets == {}


async def test_the_model_of_a_turn_under_way_is_known_until_it_ends(metered: Metered) -> None:
    flow = await metered.asked()
    exchange = exchange_of(flow)
    assert metered.addon.model_of(exchange) == "claude-opus-4-6"
    await metered.answered(flow, *frames(*STREAM))
    assert metered.addon.model_of(exchange) == ""
