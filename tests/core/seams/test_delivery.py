"""The way of a response to the client: what is held, what is passed on, what is put between, where it is cut."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import ErrorCode, RequestProtocolError, ResponseHeaders, ResponseTrailers

from codemie_core.exchange import Exchange, Terminal, exchange_of
from codemie_core.policy import AttemptPlan, Failure, Reason
from codemie_core.seams import delivery
from codemie_core.seams.delivery import Delivery
from codemie_core.tap import Tap
from support.playbook import EVENT_STREAM, JSON, Playbook

EVENT = b"event: message_start\ndata: {}\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
COMMENT = b": keep-alive\n\n"
ERROR_EVENT = b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n'
KEPT = AttemptPlan(keepalive=10.0, idle_timeout=60.0, first_byte_timeout=30.0)


def test_each_event_goes_out_before_the_next_has_come() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM)
        assert not book.sent_to("client"), "the head is held until the first event"
        for count in range(1, 5):
            book.send(EVENT)
            assert book.body() == EVENT * count
        book.end()
        assert book.ended()


def test_what_is_no_event_stream_goes_out_with_its_head() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, JSON)
        assert [type(event) for event in book.sent_to("client")] == [ResponseHeaders]
        book.send(b"{")
        assert book.body() == b"{"


@pytest.mark.parametrize("status", [201, 404, 429])
def test_only_a_200_goes_through_the_gate(status: int) -> None:
    with Playbook() as book:
        book.ask()
        book.respond(status, EVENT_STREAM)
        assert book.response().status_code == status


def test_pings_and_comments_are_held_and_then_given_in_order() -> None:
    pieces = [b": hi\n\n", PING[:9], PING[9:], EVENT]
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, *pieces[:-1])
        assert not book.sent_to("client")
        book.send(pieces[-1])
        assert [event.data for event in book.sent_to("client")[1:]] == pieces


def test_the_gate_opens_after_its_time_and_no_sooner() -> None:
    with Playbook(AttemptPlan(gate_time=1.0)) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, PING)
        book.advance(0.99)
        assert not book.sent_to("client")
        book.advance(0.02)
        assert book.body() == PING
        book.send(ERROR_EVENT)
        book.end()
        assert book.body() == PING + ERROR_EVENT, "too late to try again"
        assert len(book.asked) == 1


@pytest.mark.parametrize("trailers", [None, http.Headers(x=b"1")])
def test_a_stream_that_ends_in_the_gate_is_given_as_it_is(trailers: http.Headers | None) -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, PING)
        book.end(trailers=trailers)
        assert (book.body(), book.ended()) == (PING, True)
        assert len(book.sent_to("client", ResponseTrailers)) == (1 if trailers else 0)
        assert book.layer.streams == {}


def test_a_stream_that_breaks_off_in_the_gate_is_tried_again() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, PING)
        book.break_off()
        assert not book.sent_to("client")
        book.advance(1.0)
        book.respond(200, EVENT_STREAM, EVENT)
        assert book.body() == EVENT


def test_a_compressed_error_event_is_found_in_the_gate() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, [*EVENT_STREAM, ("content-encoding", "gzip")], gzip.compress(ERROR_EVENT))
        assert not book.sent_to("client")
        failure = book.exchange().attempts[0].failure
        assert failure == Failure(Reason.ERROR_EVENT, "overloaded_error")


def test_a_lasting_error_event_reaches_the_client_untouched() -> None:
    event = ERROR_EVENT.replace(b"overloaded_error", b"invalid_request_error")
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, event)
        book.end()
        assert (book.response().status_code, book.body(), book.ended()) == (200, event, True)


def empty(book: Playbook, trailers: http.Headers | None = None) -> None:
    book.respond(500, [("retry-after", "7")])
    book.end(trailers=trailers)


EMPTY_ERRORS: dict[str, Callable[[Playbook], object]] = {
    "no body by its head": lambda book: book.respond(500, end_stream=True),
    "a length of zero": lambda book: book.respond(500, [("content-length", "0")]),
    "HTML": lambda book: book.respond(500, [("content-type", "text/html"), ("retry-after", "7")], b"<html>"),
    "chunked and empty": lambda book: empty(book),
    "chunked and empty with trailers": lambda book: empty(book, http.Headers(x=b"1")),
}


@pytest.mark.parametrize("kind", EMPTY_ERRORS)
def test_a_server_error_without_words_gets_some(kind: str) -> None:
    with Playbook() as book:
        book.ask()
        EMPTY_ERRORS[kind](book)
        assert book.response().status_code == 500
        assert b"The model API reported an error" in book.body()
        assert book.ended()
        assert book.exchange().terminal is Terminal.UPSTREAM_ERROR
        assert book.exchange().attempts[0].failure == Failure(Reason.STATUS, status=500)
        if kind in ("HTML", "chunked and empty"):
            assert book.response().headers["retry-after"] == "7"
        assert book.layer.streams == {}


@pytest.mark.parametrize("seconds", ["9" * 400, "Wed, 21 Oct 2015 07:28:00 +99999999999999999999999"])
def test_an_absurd_retry_after_does_not_keep_the_client_waiting(seconds: str) -> None:
    with Playbook() as book:
        book.ask()
        book.respond(503, [("content-type", "text/html"), ("retry-after", seconds)])
        book.advance(2.0)
        assert book.ended() or len(book.asked) == 2


def test_a_server_error_with_words_is_passed_on() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(500, JSON)
        assert not book.sent_to("client"), "it may be empty"
        book.send(b"oops")
        book.end()
        assert (book.response().status_code, book.body(), book.ended()) == (500, b"oops", True)


def test_a_server_error_that_breaks_off_before_its_words_is_answered_for() -> None:
    with Playbook(AttemptPlan(max_attempts=1)) as book:
        book.ask()
        book.respond(500, JSON)
        book.break_off()
        assert book.response().status_code == 502
        assert book.ended()


def test_a_server_error_that_stays_silent_runs_into_the_deadline() -> None:
    with Playbook(AttemptPlan(first_byte_timeout=5.0)) as book:
        book.ask()
        book.respond(500, JSON)
        book.advance(5.1)
        assert book.response().status_code == 504


def test_a_keepalive_goes_out_in_silence_and_the_stream_goes_on_untouched() -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(9.0)
        assert book.body() == EVENT
        book.advance(2.0)
        assert book.body() == EVENT + PING
        book.advance(10.0)
        assert book.body() == EVENT + PING * 2
        book.send(EVENT)
        book.advance(9.0)
        book.send(EVENT)
        book.end()
        assert book.body() == EVENT + PING * 2 + EVENT * 2
        assert book.exchange().response_bytes == 3 * len(EVENT)
        assert book.exchange().attempts[0].failure is None


@pytest.mark.parametrize(
    "path, frame",
    [
        ("/v1/messages", PING),
        ("/v1/chat/completions", COMMENT),
        ("/v1/responses", COMMENT),
        ("/v1beta/models/m:streamGenerateContent", COMMENT),
        ("/code-assistant-api/v1/assistants/7/model", COMMENT),
    ],
)
def test_a_keepalive_has_the_form_of_the_api(path: str, frame: bytes) -> None:
    with Playbook(KEPT) as book:
        book.ask(path=path)
        book.respond(200, EVENT_STREAM, b"data: {}\n\n")
        book.advance(11.0)
        assert book.body() == b"data: {}\n\n" + frame


@pytest.mark.parametrize(
    "tail, boundary",
    [
        (b"data: x\n\n", True),
        (b"data: x\r\n\r\n", True),
        (b"data: x\r\r", True),
        (b"data: x\n", False),
        (b"data: x\r\n", False),
        (b"data: x\r", False),
        (b"data: x\r\n\r", False),
        (b"data: x", False),
        (b"data: x\n\n: comm", False),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_keepalive_goes_only_between_events(tail: bytes, boundary: bool, bytewise: bool) -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, b"data: {}\n\n")
        book.send(*([tail[i : i + 1] for i in range(len(tail))] if bytewise else [tail]))
        book.advance(11.0)
        assert book.body() == b"data: {}\n\n" + tail + (PING if boundary else b"")


@pytest.mark.parametrize(
    "headers",
    [
        [*EVENT_STREAM, ("content-encoding", "gzip")],
        [*EVENT_STREAM, ("content-length", "9999")],
        [],
        JSON,
    ],
    ids=["compressed", "of a length", "of no type", "JSON"],
)
def test_nothing_of_ours_goes_into_other_streams(headers: list[tuple[str, str]]) -> None:
    with Playbook(KEPT) as book:
        book.ask()
        data = gzip.compress(EVENT) if ("content-encoding", "gzip") in headers else EVENT
        book.respond(200, headers, data)
        book.advance(59.0)
        assert book.body() == data
        assert book.exchange().terminal is None
        book.advance(2.0)
        assert book.exchange().terminal is Terminal.TRUNCATED


def test_without_a_keepalive_period_there_is_none() -> None:
    with Playbook(AttemptPlan(keepalive=0, idle_timeout=60.0)) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(59.0)
        assert book.body() == EVENT


def test_keepalives_go_on_when_there_is_no_idle_deadline() -> None:
    with Playbook(AttemptPlan(keepalive=10.0, idle_timeout=0)) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(25.0)
        assert book.body() == EVENT + PING * 2
        assert book.exchange().terminal is None


def test_keepalives_do_not_move_the_idle_deadline() -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(59.9)
        assert book.body() == EVENT + PING * 5
        book.advance(0.2)
        assert book.trace[-3:] == [
            "upstream RequestProtocolError CANCEL",
            "hook error",
            "client ResponseProtocolError GENERIC_SERVER_ERROR",
        ]
        assert (book.exchange().terminal, book.exchange().error) == (Terminal.TRUNCATED, Reason.IDLE_TIMEOUT)
        assert book.layer.streams == {}


def test_an_upstream_that_cannot_be_heard_because_its_client_does_not_read_is_not_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        monkeypatch.setattr(delivery, "is_held_up", lambda client: client is book.client)
        for _ in range(20):
            book.advance(10.1)
        assert book.body() == EVENT
        monkeypatch.setattr(delivery, "is_held_up", lambda _: False)
        for _ in range(5):
            book.advance(10.1)
        assert book.exchange().attempts[0].failure is None
        book.advance(10.1)
        book.advance(10.1)
        assert book.exchange().attempts[0].failure == Failure(Reason.IDLE_TIMEOUT)


def test_a_keepalive_longer_than_the_idle_deadline_never_comes() -> None:
    with Playbook(AttemptPlan(keepalive=100.0, idle_timeout=60.0)) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(61.0)
        assert book.body() == EVENT
        assert book.exchange().terminal is Terminal.TRUNCATED


def test_a_cut_after_a_retry_cancels_the_live_attempt() -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(503)
        book.advance(1.0)
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(61.0)
        cancel = book.sent_to("upstream", RequestProtocolError)[-1]
        assert (cancel.stream_id, cancel.code) == (book.asked[1], ErrorCode.CANCEL)
        assert book.layer.streams == {}


def observed(seen: list[bytes]) -> dict[str, Any]:
    """An observer, put in place as the core addon does it."""

    def responseheaders(flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = Tap("", [seen.append], lambda *_: None)

    return {"responseheaders": responseheaders}


def test_observers_see_the_upstreams_bytes_and_no_keepalives() -> None:
    seen: list[bytes] = []
    with Playbook(KEPT, hooks=observed(seen)) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(11.0)
        book.send(EVENT)
        book.end()
        assert book.body() == EVENT + PING + EVENT
        assert seen == [EVENT, EVENT]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("hooks", [{}, observed([])], ids=["unobserved", "observed"])
def test_a_streamed_body_is_kept_when_mitmproxy_is_told_so(stored: bool, hooks: dict[str, Any]) -> None:
    with Playbook(KEPT, hooks=hooks, options={"store_streamed_bodies": stored}) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(11.0)
        book.send(EVENT)
        book.end()
        response = book.flows[1].response
        assert response
        assert response.raw_content == (EVENT * 2 if stored else None)
        assert book.body() == EVENT + PING + EVENT


def test_an_addon_may_have_the_whole_body_first() -> None:
    def whole(flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = False

    with Playbook(hooks={"responseheaders": whole}) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        assert not book.sent_to("client")
        book.send(EVENT)
        book.end()
        assert (book.body(), book.ended()) == (EVENT * 2, True)
        assert book.exchange().last_byte_ms is not None


def test_response_trailers_follow_the_body() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.end(trailers=http.Headers(x=b"1"))
        assert [line for line in book.trace if line.startswith("client")][-2:] == [
            "client ResponseTrailers",
            "client ResponseEndOfMessage",
        ]


def test_the_bytes_and_times_of_an_exchange_are_the_upstreams() -> None:
    with Playbook(KEPT) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(11.0)
        book.end()
        exchange: Exchange = book.exchange()
        assert exchange.response_bytes == len(EVENT)
        assert exchange.first_byte_ms is not None
        assert exchange.last_byte_ms is not None
        assert exchange.last_byte_ms - exchange.first_byte_ms == pytest.approx(11000)


def test_the_middle_floor_leaves_the_rest_to_the_one_above() -> None:
    with Playbook() as book:
        book.ask()
        stream = book.layer.streams[1]
        assert isinstance(stream, Delivery)
        assert exchange_of(stream.flow).open
        for call in (lambda: Delivery.failed(stream, Failure(Reason.RESET)), lambda: Delivery.abandon(stream)):
            with pytest.raises(NotImplementedError):
                list(call())


def test_a_marker_is_called_at_every_so_many_chunks_before_they_go_out() -> None:
    marks: list[tuple[int, int]] = []

    def mark(exchange: Exchange) -> None:
        marks.append((exchange.chunks, len(book.body())))

    with Playbook(hooks={"request": lambda flow: exchange_of(flow).every(3, mark)}) as book:
        book.ask()
        book.respond(200, JSON)
        book.send(*[b"12"] * 7)
        assert marks == [(3, 4), (6, 10)]
        assert book.body() == b"12" * 7
        assert book.exchange().chunks == 7


def test_a_marker_that_raises_is_dropped_and_the_stream_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def mark(_: Exchange) -> None:
        raise RuntimeError("this marker always fails")

    with Playbook(hooks={"request": lambda flow: exchange_of(flow).every(1, mark)}) as book:
        book.ask()
        book.respond(200, JSON)
        book.send(b"1", b"2", b"3")
        assert book.body() == b"123"
    assert [record.message for record in caplog.records] == ["A chunk marker failed with RuntimeError and was dropped"]
