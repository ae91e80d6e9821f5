"""The client's side of the machine: reading the request, answering it, ending it."""

import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import ErrorCode, RequestData, RequestEndOfMessage, RequestHeaders, RequestTrailers
from mitmproxy.proxy.mode_specs import ProxyMode

from codemie_core.exchange import Terminal, exchange_of
from codemie_core.policy import AttemptPlan
from codemie_core.seams.client_stream import ClientStream
from codemie_core.seams.delivery import Delivery
from support.playbook import EVENT_STREAM, Playbook

EVENT = b"event: message_start\ndata: {}\n\n"


def test_the_body_arrives_whole_at_the_request_hook() -> None:
    bodies = []
    with Playbook(hooks={"request": lambda flow: bodies.append(flow.request.raw_content)}) as book:
        book.begin()
        for piece in (b"one ", b"two ", b"three"):
            book.client_says(RequestData(1, piece))
        assert book.trace == ["hook requestheaders"]
        book.client_says(RequestTrailers(1, http.Headers(x=b"1")))
        book.client_says(RequestEndOfMessage(1))
        assert bodies == [b"one two three"]
        assert book.exchange().request_bytes == 13
        assert book.flows[1].request.trailers is not None
        assert book.flows[1].request.timestamp_end is not None


def test_a_body_over_the_cap_is_read_to_its_end_and_answered_with_413() -> None:
    with Playbook(AttemptPlan(max_request_bytes=1024 * 1024)) as book:
        book.begin()
        for _ in range(3):
            book.client_says(RequestData(1, b"x" * 512 * 1024))
        assert not book.sent_to("client"), "the client may finish sending"
        book.client_says(RequestData(1, b"x" * 512 * 1024))
        book.client_says(RequestEndOfMessage(1))
        assert book.response().status_code == 413
        assert "larger than the 1 MiB" in json.loads(book.body())["error"]["message"]
        assert book.asked == []
        assert "hook request" not in book.trace
        assert (book.exchange().terminal, book.exchange().error) == (Terminal.REFUSED, "request_too_large")
        assert len(book.flows[1].request.raw_content or b"") <= 1024 * 1024
        assert book.layer.streams == {}


def test_a_body_of_exactly_the_cap_passes() -> None:
    with Playbook(AttemptPlan(max_request_bytes=4)) as book:
        book.ask(body=b"1234")
        assert book.asked == [1]


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
def test_an_answer_of_an_addon_goes_out_with_its_hooks_and_nobody_is_asked(hook: str) -> None:
    def answer(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(200, b"local")

    with Playbook(hooks={hook: answer}) as book:
        book.ask()
        assert book.trace[2:] == [
            "hook responseheaders",
            "hook response",
            "client ResponseHeaders 200",
            "client ResponseData",
            "client ResponseEndOfMessage",
        ]
        assert (book.body(), book.asked) == (b"local", [])
        assert book.layer.streams == {}


def test_an_answer_wins_over_a_body_that_is_too_large() -> None:
    def answer(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(403, b"no")

    with Playbook(AttemptPlan(max_request_bytes=1), hooks={"requestheaders": answer}) as book:
        book.ask(body=b"1234")
        assert book.response().status_code == 403


@pytest.mark.parametrize(
    "code, complete, terminal",
    [
        (ErrorCode.CLIENT_DISCONNECTED, False, Terminal.CLIENT_CANCELLED),
        (ErrorCode.CLIENT_DISCONNECTED, True, Terminal.CLIENT_CANCELLED),
        (ErrorCode.CANCEL, True, Terminal.CLIENT_CANCELLED),
        (ErrorCode.GENERIC_CLIENT_ERROR, False, Terminal.REFUSED),
        (ErrorCode.GENERIC_CLIENT_ERROR, True, Terminal.CLIENT_CANCELLED),
    ],
)
def test_how_a_client_broke_off_is_told_apart(code: ErrorCode, complete: bool, terminal: Terminal) -> None:
    with Playbook() as book:
        book.begin()
        book.client_says(RequestData(1, b"{}"))
        if complete:
            book.client_says(RequestEndOfMessage(1))
        book.leave(code=code)
        assert book.exchange().terminal is terminal
        assert book.count("hook error") == 1
        assert book.flows[1].error is not None
        assert not book.flows[1].live
        assert book.layer.streams == {}


def test_a_client_that_leaves_twice_ends_it_once() -> None:
    with Playbook(pauses={"error"}) as book:
        book.ask()
        book.leave()
        book.leave()
        book.resume()
        assert book.count("hook error") == 1
        assert book.count("upstream RequestProtocolError CANCEL") == 1


def test_a_client_that_leaves_after_the_end_is_no_error() -> None:
    with Playbook(pauses={"response"}) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.end()
        book.leave()
        book.resume()
        assert book.count("hook error") == 0
        assert book.exchange().terminal is None, "the response hook settles it"
        assert book.count("upstream RequestProtocolError CANCEL") == 0
        assert book.layer.streams == {}


@pytest.mark.parametrize("hook", ["request", "responseheaders"])
def test_a_client_that_leaves_while_it_is_answered_locally_is_let_go(hook: str) -> None:
    def answer(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(200, b"local")

    with Playbook(hooks={"request": answer}, pauses={hook}) as book:
        book.ask()
        book.leave()
        book.resume()
        assert not book.sent_to("client")
        assert book.count("hook error") == 1
        assert book.layer.streams == {}


def test_a_response_is_released_to_the_garbage_when_it_is_over() -> None:
    """Neither the ticker nor an alias nor a command that waits keeps a finished request and its body."""
    with Playbook(alpn=b"h2") as book:
        gc.collect()
        flows = []
        for number, way in enumerate(_ENDINGS):
            way(book, number * 2 + 1)
            flows.append(weakref.ref(book.flows.pop(number * 2 + 1)))
        book.seen.clear()
        gc.collect()
        assert [flow() for flow in flows] == [None] * len(_ENDINGS)
        assert book.layer.streams == {}
        assert book.layer.command_sources.keys() == {wakeup for _, wakeup in book.wakeups}


def _ends_well(book: Playbook, number: int) -> None:
    book.ask(number)
    book.respond(503)
    book.advance(1.0)
    book.respond(200, EVENT_STREAM, EVENT)
    book.end()


def _is_left(book: Playbook, number: int) -> None:
    book.ask(number)
    book.respond(503)
    book.advance(1.0)
    book.leave(number)


def _is_left_backing_off(book: Playbook, number: int) -> None:
    book.ask(number)
    book.respond(503)
    book.leave(number)


def _is_cut(book: Playbook, number: int) -> None:
    book.ask(number)
    book.respond(200, EVENT_STREAM, EVENT)
    book.break_off()


def _is_answered(book: Playbook, number: int) -> None:
    book.ask(number)
    book.respond(500, end_stream=True)


_ENDINGS: list[Callable[[Playbook, int], None]] = [
    _ends_well,
    _is_left,
    _is_left_backing_off,
    _is_cut,
    _is_answered,
]


def test_a_killed_flow_leaves_nothing_behind() -> None:
    hooks: dict[str, Any] = {"upstream_response": lambda flow, attempt: flow.kill() if attempt.number == 2 else None}
    with Playbook(hooks=hooks, alpn=b"h2") as book:
        book.ask()
        book.respond(503)
        book.advance(1.0)
        book.respond(200)
        assert book.count("client ResponseProtocolError KILL") == 1
        assert book.layer.streams == {}


def test_a_replayed_or_unscoped_request_is_mitmproxys() -> None:
    with Playbook(plan=None) as book:
        book.ask()
        assert not book.exchange().attempts
        assert book.asked == [1]


def test_a_request_that_a_script_wants_to_stream_is_collected_all_the_same() -> None:
    def stream(flow: http.HTTPFlow) -> None:
        flow.request.stream = True
        exchange_of(flow).withheld = frozenset({b"x-api-key"})

    with Playbook(hooks={"requestheaders": stream}) as book:
        book.begin(headers=[("x-api-key", "planted")])
        assert book.asked == []
        book.client_says(RequestData(1, b"{}"))
        book.client_says(RequestEndOfMessage(1))
        book.respond(body=b"{}")
        assert len(book.exchange().attempts) == 1
        [head] = book.sent_to("upstream", RequestHeaders)
        assert "x-api-key" not in head.request.headers


def test_the_lower_floors_leave_the_rest_to_those_above() -> None:
    with Playbook(AttemptPlan()) as book:
        book.ask()
        stream = book.layer.streams[1]
        assert isinstance(stream, Delivery)
        exchange = exchange_of(stream.flow)
        for call in (lambda: ClientStream.begin(stream, exchange), lambda: ClientStream.cancel_upstream(stream)):
            with pytest.raises(NotImplementedError):
                list(call())


def test_a_problem_names_the_exchange_it_ended() -> None:
    with Playbook(plan=AttemptPlan(max_attempts=1), dials=["refused"]) as book:
        book.ask()
        exchange = book.exchange()
        assert (exchange.terminal, exchange.error) == (Terminal.UPSTREAM_ERROR, "upstream_unreachable")
        assert book.response().headers["x-codemie-request-id"] == exchange.request_id


@pytest.mark.parametrize("mode, noted", [("reverse:http://upstream.test:80", "rebound.example:8080"), ("regular", "")])
def test_the_host_that_the_client_named_is_known_although_mitmproxy_replaces_it(mode: str, noted: str) -> None:
    with Playbook() as book:
        book.client.proxy_mode = ProxyMode.parse(mode)
        book.context.server.address = ("upstream.test", 80)
        asked = http.Request.make("GET", "http://upstream.test:80/v1/messages")
        asked.headers["host"] = "rebound.example:8080"
        book.client_says(RequestHeaders(1, asked, end_stream=True))
        assert book.exchange().asked_host == noted
        assert (book.flows[1].request.host_header == "upstream.test") is bool(noted)


def test_an_error_of_ours_to_a_head_request_has_no_body() -> None:
    """Else its client would read the body as the next response on the connection."""
    with Playbook(AttemptPlan(max_attempts=1), dials=["refused"]) as book:
        book.ask(method="HEAD", body=b"")
        assert book.response().status_code == 502
        assert int(book.response().headers["content-length"]) > 0
        assert book.body() == b""
        assert book.ended()
