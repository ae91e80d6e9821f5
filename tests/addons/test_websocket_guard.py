"""The WebSocket guard, in process: who is refused, which settings it takes, when it is at work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.proxy.layers import websocket as layers
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from codemie_core.exchange import Terminal, exchange_of
from codemie_core.seams import dispatch, socket_layer
from codemie_core.seams.shape import Shape
from support.core_room import request, running
from websocket_guard import WebsocketGuard

UPGRADE = {"connection": "Upgrade", "upgrade": "WebSocket", "sec-websocket-version": "13"}


def upgrade(path: str = "/v1/responses", **changes: Any) -> http.HTTPFlow:
    flow = request(method=b"GET", content=b"", **changes)
    flow.request.path = path
    flow.request.headers.update(UPGRADE)
    return flow


async def test_upgrades_pass_and_nothing_listens_for_requests_unless_they_are_to_be_refused() -> None:
    async with running(WebsocketGuard()) as room:
        flow = upgrade()
        await room.fire("request", flow)
        assert flow.response is None
        assert not dispatch.has_listeners(room.tctx.master.addons, "websocket_start")
        assert vars(room.addons[0])["request"] is None


@pytest.mark.parametrize("path", ["/v1/responses", "/anything"])
async def test_refused_upgrades_get_a_426_in_json_and_other_requests_pass(path: str) -> None:
    async with running(WebsocketGuard(), codemie_websocket_guard_upgrades="refuse") as room:
        flow, plain = upgrade(path), request()
        await room.fire("request", flow)
        await room.fire("request", plain)
        assert plain.response is None
        assert flow.response is not None
        assert flow.response.status_code == 426
        assert "use HTTP" in json.dumps(flow.response.json())
        assert flow.response.headers["content-type"] == "application/json"
        assert (flow.response.headers["upgrade"], flow.response.headers["connection"]) == ("HTTP/1.1", "upgrade")
        assert exchange_of(flow).terminal is Terminal.REFUSED


async def test_websockets_out_of_scope_and_answered_requests_are_left_alone() -> None:
    async with running(WebsocketGuard(), codemie_websocket_guard_upgrades="refuse") as room:
        elsewhere, answered = upgrade(mode="regular", host="elsewhere.test"), upgrade()
        answered.response = http.Response.make(401)
        for flow in (elsewhere, answered):
            await room.fire("request", flow)
        assert elsewhere.response is None
        assert answered.response.status_code == 401


async def test_it_can_be_told_to_refuse_and_to_allow_while_it_runs() -> None:
    async with running(WebsocketGuard()) as room:
        seen = []
        for upgrades in ("refuse", "allow", "refuse"):
            room.options.update(codemie_websocket_guard_upgrades=upgrades)
            flow = upgrade()
            await room.fire("request", flow)
            seen.append(flow.response is not None)
        assert seen == [True, False, True]
        with pytest.raises(exceptions.OptionsError, match="allow, refuse"):
            room.options.update(codemie_websocket_guard_upgrades="forbid")


async def test_its_bounds_are_the_layers_while_it_is_at_work() -> None:
    async with running(WebsocketGuard(), codemie_websocket_guard_max_message="1m") as room:
        assert layers.WebsocketLayer is socket_layer.GuardedWebsocketLayer
        limits = socket_layer.CURRENT.limits
        assert limits == socket_layer.SocketLimits(1024**2, 200, 4 * 1024**2)
        room.options.update(codemie_websocket_guard_keep_messages=7)
        assert socket_layer.CURRENT.limits == socket_layer.SocketLimits(1024**2, 7, 4 * 1024**2)
        room.options.update(codemie_disabled=["websocket_guard"])
        assert socket_layer.CURRENT.limits is None
        room.options.update(codemie_disabled=[])
        assert socket_layer.CURRENT.limits is not None
        assert room.addons[0].health() == {"open": 0, "idle": 0}


async def test_of_a_websocket_out_of_scope_the_newest_messages_stay() -> None:
    async with running(WebsocketGuard(), codemie_websocket_guard_keep_messages=8) as room:
        flow = upgrade(mode="regular", host="elsewhere.test")
        flow.websocket = WebSocketData()
        for n in range(100):
            flow.websocket.messages.append(WebSocketMessage(Opcode.TEXT, False, b"%d" % n))
            await room.fire("websocket_message", flow)
            assert len(flow.websocket.messages) <= 8
        assert flow.websocket.messages[-1].content == b"99"


async def test_before_a_mitmproxy_of_another_shape_it_warns_and_leaves_websockets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stock = socket_layer.GuardedWebsocketLayer.__mro__[1]
    monkeypatch.setattr(layers, "WebsocketLayer", stock)
    monkeypatch.setattr(socket_layer, "SHAPE", Shape("WebSocket bounds", socket_layer.SHAPE.functions, frozenset()))
    async with running(WebsocketGuard()) as room:
        assert layers.WebsocketLayer is stock
        assert room.addons[0].health() == {"bounds": "none"}
    assert "WebSockets have no bounds" in caplog.text
