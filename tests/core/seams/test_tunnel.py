"""Tunnels as layers: what they relay, until they may not. Through real proxies: process/test_https_interception.py."""

import pytest
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy
from mitmproxy.test import taddons, tflow

from codemie_core.seams import tunnel
from codemie_core.seams.tunnel import Order, Tunnel, cancel_tunnel, make_tunnel, order_tunnel, ordered_tunnel


@pytest.fixture
def context() -> Context:
    with taddons.context() as tctx:
        made = Context(tflow.tclient_conn(), tctx.options)
    made.server.address = ("other.test", 443)
    made.server.timestamp_start, made.server.state = 1.0, ConnectionState.OPEN
    return made


def test_its_internals_are_those_it_was_tested_with() -> None:
    assert tunnel.SHAPE.mismatch() is None


def test_the_last_order_counts_and_can_be_cancelled() -> None:
    flow = tflow.tflow()
    assert ordered_tunnel(flow) is None
    for order in (Order(lambda: True), Order(lambda: False, ("http", ("proxy.test", 3128)))):
        order_tunnel(flow, order)
        assert ordered_tunnel(flow) is order
    cancel_tunnel(flow)
    cancel_tunnel(flow)
    assert ordered_tunnel(flow) is None


def test_bytes_pass_in_both_directions_without_a_flow_until_they_may_not(context: Context) -> None:
    allowed = [True]
    layer = make_tunnel(context, Order(lambda: allowed[0]))
    assert isinstance(layer, Tunnel)
    assert layer.flow is None
    assert list(layer.handle_event(events.Start())) == []
    pairs = [(context.client, context.server), (context.server, context.client)]
    for source, target in pairs:
        [sent] = layer.handle_event(events.DataReceived(source, b"\x00x"))
        assert isinstance(sent, commands.SendData)
        assert (sent.connection, sent.data) == (target, b"\x00x")
    allowed[0] = False
    assert [command for source, _ in pairs for command in layer.handle_event(events.DataReceived(source, b"y"))] == []


def test_whoever_cannot_be_asked_has_not_said_yes(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    def may_pass() -> bool:
        raise RuntimeError("planted-words")

    layer = make_tunnel(context, Order(may_pass))
    list(layer.handle_event(events.Start()))
    assert list(layer.handle_event(events.DataReceived(context.client, b"x"))) == []
    assert "RuntimeError" in caplog.text
    assert "planted-words" not in caplog.text


def test_an_outbound_proxy_stands_before_it_but_not_before_that_of_upstream_mode(context: Context) -> None:
    context.server.timestamp_start, context.server.state = None, ConnectionState.CLOSED
    outer, mode = ("http", ("outer.test", 3128)), ("http", ("mode.test", 3128))
    layer = make_tunnel(context, Order(lambda: True, ("http", outer[1])))
    assert isinstance(layer, HttpUpstreamProxy)
    assert isinstance(layer.child_layer, Tunnel)
    assert context.server.via == outer
    context.server.via = ("http", mode[1])
    make_tunnel(context, Order(lambda: True, ("http", outer[1])))
    assert context.server.via == mode


def test_what_is_opened_gets_a_way_out_that_requests_inside_do_not_inherit(context: Context) -> None:
    context.server.timestamp_start, context.server.state = None, ConnectionState.CLOSED
    layer = make_tunnel(context, Order(lambda: True, ("http", ("outer.test", 3128)), opened=True))
    assert isinstance(layer, HttpUpstreamProxy)
    assert isinstance(layer.child_layer, NextLayer)
    assert layer.tunnel_connection.address == ("outer.test", 3128)
    assert context.server.via is None


def test_the_answer_names_what_could_not_be_reached(context: Context) -> None:
    answer = tunnel.unreachable(context.server, "refused")
    assert (answer.status_code, answer.text) == (502, "Cannot connect to other.test:443: refused\n")
