"""The WebSocket layer without sockets: bytes in, commands out. Real ones are in process/test_websocket.py."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, Self

import pytest
from mitmproxy import http
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.events import ConnectionClosed, DataReceived
from mitmproxy.proxy.layers import websocket
from mitmproxy.proxy.layers.websocket import WebsocketMessageHook, WebSocketMessageInjected
from mitmproxy.test import taddons, tflow
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from codemie_core.exchange import BOOK, Terminal
from codemie_core.policy import AttemptPlan
from codemie_core.seams import socket_layer
from codemie_core.seams.socket_layer import CURRENT, CloseAsked, GuardedWebsocketLayer, SocketLimits
from codemie_core.websocket import closing
from codemie_core.websocket.closing import STOPPING

ASK, DONE = '{"type":"response.create"}', '{"type":"response.completed"}'
LIMITS = SocketLimits(max_message=1000, keep_messages=4, keep_bytes=10_000)


class Wire:
    """A WebSocket with both of its ends; `log` tells what the layer did."""

    def __init__(self, flow: http.HTTPFlow, options: Any) -> None:
        self.flow, self.log = flow, list[str]()
        self.sides = {"client": flow.client_conn, "server": flow.server_conn}
        self.ends = {
            "client": Connection(ConnectionType.CLIENT),
            "server": Connection(ConnectionType.SERVER),
        }
        self.heard: dict[str, list[str]] = {"client": [], "server": []}
        self.on_message = lambda: None
        about = context.Context(flow.client_conn, options)
        about.server = flow.server_conn
        self.layer = GuardedWebsocketLayer(about, flow)
        self.feed(events.Start())

    def feed(self, event: events.Event) -> Self:
        for command in self.layer.handle_event(event):
            if isinstance(command, StartHook):
                self.log.append(command.name)
                if isinstance(command, WebsocketMessageHook):
                    self.on_message()
                self.feed(events.HookCompleted(command, None))
            elif isinstance(command, commands.SendData):
                side = next(name for name, conn in self.sides.items() if conn is command.connection)
                self.ends[side].receive_data(command.data)
                self.heard[side] += [str(_short(event)) for event in self.ends[side].events()]
            elif isinstance(command, commands.CloseConnection):
                self.log.append("close " + next(n for n, conn in self.sides.items() if conn is command.connection))
            elif isinstance(command, commands.RequestWakeup):
                self.wakeup = command
                self.log.append(f"wake in {command.delay:g}")
        return self

    def wake(self) -> Self:
        return self.feed(events.Wakeup(self.wakeup))

    def say(self, side: str, said: Event) -> Self:
        return self.feed(DataReceived(self.sides[side], self.ends[side].send(said)))

    def text(self, side: str, *texts: str) -> Self:
        for text in texts:
            self.say(side, TextMessage(data=text))
        return self


class Clock:
    """In the place of the monotonic one."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _short(event: Event) -> object:
    if isinstance(event, Message):
        return event.data
    return int(event.code) if isinstance(event, CloseConnection) else type(event).__name__


@pytest.fixture
def flow() -> Iterator[http.HTTPFlow]:
    with taddons.context():
        made = tflow.tflow(resp=True)
        made.websocket = WebSocketData()
        assert made.response is not None
        made.response.headers.clear()
        BOOK.of(made).scoped = True
        yield made
        BOOK.close(BOOK.of(made))


@pytest.fixture
def wire(flow: http.HTTPFlow, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(CURRENT, "limits", LIMITS)
    with taddons.context() as tctx:
        return Wire(flow, tctx.options)


def test_the_layer_fits_the_mitmproxy_beside_it() -> None:
    assert socket_layer.install() is None
    assert websocket.WebsocketLayer is GuardedWebsocketLayer


def test_messages_and_pings_pass_in_both_directions(wire: Wire) -> None:
    wire.text("client", "a question").say("server", Ping(payload=b"")).text("server", "an answer")
    assert wire.heard == {"server": ["a question"], "client": ["Ping", "an answer"]}
    assert wire.log == ["websocket_start", "websocket_message", "websocket_message"]


def test_only_the_newest_messages_stay(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.text("server", *(str(number) for number in range(100)))
    assert flow.websocket is not None
    assert 1 < len(flow.websocket.messages) <= LIMITS.keep_messages
    assert flow.websocket.messages[-1].content == b"99"
    assert wire.heard["client"] == [str(number) for number in range(100)]


def test_a_dropped_message_is_sent_to_nobody(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.on_message = lambda: flow.websocket.messages[-1].drop()  # type: ignore[union-attr] # the fixture sets it
    assert wire.text("server", "secret").heard["client"] == []


def test_an_injected_message_goes_to_the_other_side(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.feed(WebSocketMessageInjected(flow, WebSocketMessage(1, True, b"from a person", injected=True)))
    assert wire.heard["server"] == ["from a person"]


def test_a_close_frame_is_passed_on_and_tcp_is_closed_when_it_has_been_answered(wire: Wire) -> None:
    earlier = wire.ends["client"].send(TextMessage(data="on its way already"))
    wire.say("server", CloseConnection(code=4001, reason="words"))
    assert wire.heard == {"client": ["4001"], "server": ["4001"]}
    assert wire.log[1:] == ["close server", "websocket_end", "wake in 2"]
    wire.feed(DataReceived(wire.sides["client"], earlier)).say("client", CloseConnection(code=4001))
    assert wire.log[4:] == ["close client"]


@pytest.mark.parametrize("by", ["client", "server"])
def test_a_close_frame_without_a_code_stays_one(by: str, wire: Wire) -> None:
    wire.say(by, CloseConnection(code=CloseReason.NO_STATUS_RCVD))
    assert wire.heard == {"client": ["1005"], "server": ["1005"]}


@pytest.mark.parametrize("by", ["answer", "end of its connection", "no answer at all"])
def test_who_does_not_answer_a_close_frame_is_waited_for_only_so_long(by: str, wire: Wire) -> None:
    wire.feed(ConnectionClosed(wire.sides["server"]))
    assert wire.heard["client"] == ["1012"]
    assert "close client" not in wire.log
    if by == "answer":
        wire.say("client", CloseConnection(code=1012))
    elif by == "end of its connection":
        wire.feed(ConnectionClosed(wire.sides["client"]))
    else:
        wire.wake()
    assert wire.log[-1] == "close client"


def test_the_loss_of_the_upstream_ends_the_exchange_as_cut_and_that_of_the_client_does_not(
    wire: Wire, flow: http.HTTPFlow
) -> None:
    wire.feed(ConnectionClosed(wire.sides["server"]))
    assert BOOK.of(flow).terminal is Terminal.TRUNCATED
    assert flow.websocket is not None
    assert (flow.websocket.close_code, flow.websocket.closed_by_client) == (1006, False)


def test_a_client_that_left_says_nothing_against_the_upstream(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.feed(ConnectionClosed(wire.sides["client"]))
    assert wire.heard["server"] == ["1001"]
    assert BOOK.of(flow).terminal is None


def test_of_what_follows_on_a_violation_nothing_is_kept(wire: Wire) -> None:
    wire.feed(DataReceived(wire.sides["client"], bytes.fromhex("8100")))
    assert wire.heard == {"client": ["1002"], "server": ["1001"]}
    for _ in range(10):
        wire.feed(DataReceived(wire.sides["client"], b"x" * 1000))
    assert len(wire.layer.client_ws._proto._frame_decoder.buffer) < 1000
    assert sorted(wire.wake().log[-2:]) == ["close client", "close server"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


@pytest.fixture
def patient(flow: http.HTTPFlow, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """As for streams over HTTP, an upstream may be silent for 300 seconds."""
    monkeypatch.setattr(CURRENT, "limits", LIMITS)
    BOOK.of(flow).plan = AttemptPlan(idle_timeout=300.0)
    with taddons.context() as tctx:
        return Wire(flow, tctx.options)


def test_an_upstream_that_falls_silent_while_it_is_to_answer_ends_the_turn_with_1012(
    patient: Wire, clock: Clock, flow: http.HTTPFlow
) -> None:
    patient.text("client", ASK)
    assert patient.log[-1] == "wake in 300"
    clock.now += 200
    patient.text("server", "a piece")
    clock.now += 100
    assert patient.wake().log[-1] == "wake in 200"
    clock.now += 199
    patient.say("server", Ping(payload=b""))
    clock.now += 1
    assert patient.wake().log[-1] == "wake in 299"
    clock.now += 299
    patient.wake()
    assert (patient.heard["client"][-1], patient.heard["server"][-1]) == ("1012", "1001")
    exchange = BOOK.of(flow)
    assert (exchange.terminal, exchange.error) == (Terminal.TRUNCATED, "idle_timeout")


def test_an_upstream_that_cannot_be_heard_because_its_client_does_not_read_is_not_silent(
    patient: Wire, clock: Clock, flow: http.HTTPFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.text("client", ASK)
    monkeypatch.setattr(socket_layer, "is_held_up", lambda client: client is patient.sides["client"])
    for _ in range(3):
        clock.now += 300
        assert patient.wake().log[-1] == "wake in 300"
    monkeypatch.setattr(socket_layer, "is_held_up", lambda _: False)
    clock.now += 300
    patient.wake()
    assert BOOK.of(flow).error == "idle_timeout"


def test_between_turns_any_silence_is_long_enough(patient: Wire, clock: Clock) -> None:
    patient.text("client", "words").text("client", ASK).text("server", DONE)
    clock.now += 10_000
    assert patient.wake().log[-1] == "websocket_message"
    patient.text("client", ASK)
    assert patient.log[-1] == "wake in 300"
    assert patient.heard["client"] == [DONE]


def test_a_timer_of_a_turn_does_not_shorten_the_wait_for_a_close_frame(patient: Wire) -> None:
    patient.text("client", ASK)
    of_turn = patient.wakeup
    patient.say("server", CloseConnection(code=1011))
    patient.feed(events.Wakeup(of_turn))
    assert "close client" not in patient.log
    assert patient.wake().log[-1] == "close client"


@pytest.mark.parametrize("plan", [None, AttemptPlan(idle_timeout=0.0)], ids=["without attempts", "switched off"])
def test_without_that_bound_there_is_no_timer(plan: AttemptPlan | None, flow: http.HTTPFlow, wire: Wire) -> None:
    BOOK.of(flow).plan = plan
    with taddons.context() as tctx:
        again = Wire(flow, tctx.options).text("client", ASK)
    assert [line for line in again.log if line.startswith("wake")] == []


@pytest.mark.parametrize(
    ("how", "ended"),
    [
        ("client gone", Terminal.CLIENT_CANCELLED),
        ("client closes", Terminal.CLIENT_CANCELLED),
        ("server gone", Terminal.TRUNCATED),
        ("server closes", Terminal.TRUNCATED),
        ("stopping", Terminal.PROXY_STOPPED),
        ("revoked", Terminal.REFUSED),
        ("busy", Terminal.UPSTREAM_ERROR),
    ],
)
@pytest.mark.parametrize("during", [True, False], ids=["in a turn", "between turns"])
def test_a_turn_that_is_cut_has_the_ending_that_it_would_have_over_http(
    during: bool, how: str, ended: Terminal, wire: Wire, flow: http.HTTPFlow
) -> None:
    wire.text("client", ASK).text("server", "a piece" if during else DONE)
    who, _, what = how.partition(" ")
    if what == "gone":
        wire.feed(ConnectionClosed(wire.sides[who]))
    elif what:
        wire.say(who, CloseConnection(code=1001))
    else:
        wishes = {"stopping": STOPPING, "revoked": closing.KEY_REVOKED, "busy": closing.BUSY}
        wire.feed(CloseAsked(flow, wishes[who]))
    lost = how == "server gone"  # That is a fault whenever it happens.
    assert BOOK.of(flow).terminal is (ended if during or lost else None)
    assert (BOOK.of(flow).error is None) is (ended is Terminal.CLIENT_CANCELLED or not (during or lost))


def test_a_question_that_an_addon_drops_is_no_turn(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.on_message = lambda: flow.websocket.messages[-1].drop()  # type: ignore[union-attr] # the fixture sets it
    wire.text("client", ASK).feed(ConnectionClosed(wire.sides["client"]))
    assert BOOK.of(flow).terminal is None


def test_a_compression_that_cannot_be_read_is_refused_in_words(
    flow: http.HTTPFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CURRENT, "limits", LIMITS)
    assert flow.response is not None
    flow.response.headers["sec-websocket-extensions"] = "permessage-deflate; server_max_window_bits=8"
    with taddons.context() as tctx:
        wire = Wire(flow, tctx.options)
    assert wire.heard == {"client": ["1011"], "server": ["1008"]}
    assert BOOK.of(flow).terminal is Terminal.UPSTREAM_ERROR


@pytest.mark.parametrize("words", ["-" + "é" * 5000, "é" * 5], ids=["larger", "of the same size"])
def test_what_somebody_has_changed_arrives_whole_whatever_its_characters(
    words: str, wire: Wire, flow: http.HTTPFlow
) -> None:
    wire.on_message = lambda: setattr(flow.websocket.messages[-1], "content", words.encode())  # type: ignore[union-attr] # as above
    wire.say("server", TextMessage(data="xyz", message_finished=False)).text("server", "abcdefg")
    assert "".join(wire.heard["client"]) == words


def test_those_are_idle_on_which_nobody_waits_for_an_answer(wire: Wire) -> None:
    idle = socket_layer.idle_sockets()  # Others may not have been let go yet.
    wire.text("client", ASK)
    assert socket_layer.idle_sockets() == idle - 1
    wire.text("server", DONE)
    assert socket_layer.idle_sockets() == idle


def test_somebody_on_this_side_can_end_it(wire: Wire, flow: http.HTTPFlow) -> None:
    assert flow in socket_layer.open_sockets()
    wire.feed(CloseAsked(flow, STOPPING)).feed(CloseAsked(flow, STOPPING))
    assert wire.heard == {"client": ["1012"], "server": ["1001"]}
    assert flow not in socket_layer.open_sockets()
    assert wire.log.count("websocket_end") == 1


def test_a_failure_of_the_layer_itself_ends_both_sides(
    wire: Wire, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    wire.on_message = lambda: setattr(flow.websocket.messages[-1], "content", None)  # type: ignore[union-attr] # as above
    wire.text("client", "a question")
    assert wire.heard["client"] == ["1011"]
    assert wire.heard["server"][-1] == "1001"
    assert "A WebSocket failed" in caplog.text


@pytest.mark.parametrize("why", ["out of scope", "switched off"])
def test_what_is_not_ours_is_mitmproxys(why: str, flow: http.HTTPFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CURRENT, "limits", None if why == "switched off" else LIMITS)
    monkeypatch.setattr(BOOK.of(flow), "scoped", why == "switched off")
    with taddons.context() as tctx:
        wire = Wire(flow, tctx.options)
    wire.text("server", *("x" * 2000 for _ in range(10)))
    assert flow.websocket is not None
    assert len(flow.websocket.messages) == len(wire.heard["client"]) == 10
    assert flow not in socket_layer.open_sockets()


def test_a_websocket_that_has_ended_is_kept_by_nobody(wire: Wire, flow: http.HTTPFlow) -> None:
    wire.feed(ConnectionClosed(wire.sides["client"]))
    assert socket_layer.close_socket(flow, STOPPING) is False
    gc.collect()
    assert flow not in socket_layer.open_sockets()
