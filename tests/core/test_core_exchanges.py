"""The core addon and exchanges: how they stream, how they are observed, how they end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from mitmproxy import http
from mitmproxy.addons.view import View
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketData

from codemie_core.addon import Addon
from codemie_core.exchange import BOOK, Exchange, Terminal
from codemie_core.policy import AttemptPlan, Failure, Reason
from codemie_core.seams.attempt_hooks import AttemptHook, UpstreamFailedHook, UpstreamResponseHook
from codemie_core.tap import Tap
from support.core_room import Listener, Room, request, running


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


async def test_what_is_not_ours_streams_in_both_directions() -> None:
    async with running(Listener()) as room:
        theirs, ours = request("regular", "other.example.com"), request()
        for flow in (theirs, ours):
            await room.fire("requestheaders", flow)
            flow.response = tutils.tresp()
            await room.fire("responseheaders", flow)
        assert theirs.request.stream is True
        assert theirs.response is not None
        assert theirs.response.stream is True
        assert not ours.request.stream
        # Without upstream_attempts nobody has asked for the answer to stream.
        assert ours.response is not None
        assert not ours.response.stream


@pytest.mark.parametrize("kind", ["answered", "connect"])
async def test_what_is_answered_here_or_opens_a_tunnel_is_not_streamed(kind: str) -> None:
    async with running(Listener()) as room:
        flow = request("regular", "other.example.com", method=b"CONNECT" if kind == "connect" else b"GET")
        if kind == "answered":
            flow.response = tutils.tresp()
        await room.fire("requestheaders", flow)
        assert not flow.request.stream


async def test_a_stream_without_observers_costs_no_call_per_chunk() -> None:
    async with running(Listener()) as room:
        flow = request()
        flow.response = tutils.tresp()
        BOOK.of(flow).streamed = True
        await room.fire("responseheaders", flow)
        assert flow.response.stream is True
        assert BOOK.of(flow).status == 200
        assert BOOK.of(flow).head_ms is not None


@pytest.mark.parametrize("kind", ["no response", "already ended"])
async def test_without_a_response_from_upstream_there_is_nothing_to_stream(kind: str) -> None:
    async with running(Listener()) as room:
        flow = request()
        exchange = BOOK.of(flow)
        exchange.streamed = True
        if kind == "already ended":
            flow.response = tutils.tresp()
            exchange.end(Terminal.ANSWERED_LOCALLY)
        await room.fire("responseheaders", flow)
        assert flow.response is None or not flow.response.stream


def fails(data: bytes) -> None:
    raise RuntimeError("this observer always fails")


class Callable_:
    def __call__(self, data: bytes) -> None:
        raise RuntimeError("this observer always fails")


async def streamed(room: Room, *observers: Callable[[bytes], None]) -> None:
    """One exchange whose body these observers look at."""
    flow = request()
    flow.response = tutils.tresp(headers=http.Headers())
    exchange = BOOK.of(flow)
    exchange.streamed = True
    exchange.observers.extend(observers)
    await room.fire("responseheaders", flow)
    assert isinstance(flow.response.stream, Tap)
    assert flow.response.stream(b"data: 1\n\n") == b"data: 1\n\n"


async def test_an_addon_is_named_for_its_observer_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    async with running(listener) as room:
        for _ in range(3):
            await streamed(room, listener.look)
    assert listener.status.mishaps == {"chunk observer": 3}
    [line] = caplog.messages
    assert "listener failed in chunk observer: RuntimeError" in line


async def test_an_addon_is_named_for_a_function_of_its_file(caplog: pytest.LogCaptureFixture) -> None:
    here = type("Here", (Addon,), {"__module__": fails.__module__}, priority=40)()
    async with running(here) as room:
        for _ in range(3):
            await streamed(room, fails)
    assert here.status.mishaps == {"chunk observer": 3}
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "observer, named", [(fails, "fails"), (Callable_(), "Callable_"), (functools.partial(fails), "partial")]
)
async def test_an_observer_of_nobody_is_named_once(
    observer: Callable[[bytes], None], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Listener()) as room:
        for _ in range(3):
            await streamed(room, observer)
    [line] = caplog.messages
    assert f"The chunk observer {named} failed with RuntimeError" in line


async def test_an_answer_given_here_ends_the_exchange_as_such() -> None:
    async with running(Listener()) as room:
        flow = request()
        flow.response = tutils.tresp()
        await room.fire("request", flow)
        assert BOOK.of(flow).terminal is Terminal.ANSWERED_LOCALLY
        await room.fire("response", flow)
        assert BOOK.of(flow).status == 200


async def test_identity_is_settled_before_the_request_goes_out() -> None:
    async with running(Listener()) as room:
        ours, theirs = request(), request("regular", "other.example.com")
        await room.fire("request", ours)
        await room.fire("request", theirs)
        assert "codemie.session_id" in ours.metadata
        assert "codemie.session_id" not in theirs.metadata


def failed_once(exchange: Exchange) -> None:
    exchange.begin_attempt("api.anthropic.com", 443).failure = Failure(Reason.RESET)


def tried(exchange: Exchange) -> None:
    exchange.begin_attempt("api.anthropic.com", 443)


def planned(exchange: Exchange) -> None:
    exchange.plan = AttemptPlan()


ENDINGS: list[tuple[str, int | None, str, Callable[[Exchange], None], Terminal]] = [
    ("response", 200, "", tried, Terminal.COMPLETE),
    ("response", 404, "", tried, Terminal.COMPLETE),
    ("response", 503, "", tried, Terminal.UPSTREAM_ERROR),
    ("response", 200, "", failed_once, Terminal.UPSTREAM_ERROR),
    ("response", None, "", tried, Terminal.COMPLETE),
    ("response", 101, "", tried, Terminal.COMPLETE),  # To something else than a WebSocket.
    ("error", None, "Client disconnected.", tried, Terminal.CLIENT_CANCELLED),
    ("error", None, "stream reset by client (CANCEL)", tried, Terminal.CLIENT_CANCELLED),
    ("error", 200, "connection closed by server", tried, Terminal.UPSTREAM_ERROR),
    ("error", None, "malformed", planned, Terminal.REFUSED),
    ("error", None, "malformed", lambda exchange: None, Terminal.UPSTREAM_ERROR),
    ("websocket_end", 101, "", tried, Terminal.COMPLETE),
]


@pytest.mark.parametrize("hook, status, message, before, terminal", ENDINGS)
async def test_an_exchange_ends_once_in_its_own_way(
    hook: str, status: int | None, message: str, before: Callable[[Exchange], None], terminal: Terminal
) -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        if status:
            flow.response = tutils.tresp(status_code=status)
        if message:
            flow.error = tflow.terr(message)
        exchange = BOOK.of(flow)
        before(exchange)
        await room.fire(hook, flow)
        await room.fire("error", flow)
        assert listener.done == [exchange]
        assert exchange.terminal is terminal
        assert len(BOOK) == 0
        total = room.core.tally.shown(len(BOOK))
        assert total["exchanges"] == {"open": 0, str(terminal): 1}


async def test_a_websocket_does_not_end_with_its_handshake() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        flow.response = tutils.tresp(status_code=101)
        flow.websocket = WebSocketData()
        await room.fire("response", flow)
        assert listener.done == []
        await room.fire("websocket_end", flow)
        assert len(listener.done) == 1


async def test_an_error_without_words_is_an_error() -> None:
    async with running(Listener()) as room:
        flow = request()
        tried(BOOK.of(flow))
        await room.fire("error", flow)
        assert BOOK.of(flow).terminal is Terminal.UPSTREAM_ERROR


async def test_what_is_not_ours_is_closed_and_not_counted() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request("regular", "other.example.com")
        flow.response = tutils.tresp()
        await room.fire("response", flow)
        assert len(listener.done) == 1
        assert room.core.tally.shown(len(BOOK))["exchanges"] == {"open": 0}


async def test_attempts_are_counted() -> None:
    async with running(Listener()) as room:
        flow = request()
        failed_once(BOOK.of(flow))
        tried(BOOK.of(flow))
        flow.response = tutils.tresp()
        await room.fire("response", flow)
        assert room.core.tally.shown(len(BOOK))["attempts"] == {"total": 2, "retries": 1, "failed": {"reset": 1}}


async def test_the_hooks_of_the_attempt_machine_reach_every_addon() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        attempt = BOOK.of(flow).begin_attempt("a.example.com", 443)
        for hook in (UpstreamResponseHook, UpstreamFailedHook):
            await room.tctx.master.addons.trigger_event(AttemptHook(hook(flow, attempt)))
    assert listener.log == ["start", "upstream_response", "upstream_failed", "stop"]


async def test_the_end_of_the_proxy_closes_what_is_open_before_anyone_stops() -> None:
    class Late(Addon, priority=50, name="late"):
        def stop(self) -> None:
            assert listener.done, "the exchange must be closed by now"
            listener.log.append("late stopped")

    listener, late = Listener(), Late()
    flow = request()
    async with running(listener, late):
        exchange = BOOK.of(flow)
    assert listener.done == [exchange]
    assert exchange.terminal is Terminal.PROXY_STOPPED
    assert listener.log == ["start", "late stopped", "stop"]
    assert not late.status.mishaps


async def test_finished_flows_are_bounded_in_a_user_interface() -> None:
    async with running(Listener(), codemie_kept_flows=3) as room:
        view = View()
        room.tctx.master.addons.add(view)
        marked, live = request(), request()
        marked.marked, marked.live = ":star:", False
        view.add([marked, live])
        flows = []
        for _ in range(6):
            flow = request()
            flow.response, flow.live = tutils.tresp(), False
            flows.append(flow)
            view.add([flow])
            await room.fire("response", flow)
        assert set(view.resolve("@all")) == {marked, live, flows[-1]}
        room.options.update(codemie_kept_flows=0)
        view.add([request()])
        await room.fire("response", flows[-1])
        assert view.store_count() == 4
