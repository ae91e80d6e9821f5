"""The attempt machine interrupted: clients that leave, flows that are killed, dials and deadlines, at every state."""

from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy.proxy.layers.http import ErrorCode, RequestProtocolError

from codemie_core.exchange import Terminal
from codemie_core.policy import AttemptPlan
from support.playbook import ASKED, EVENT_STREAM, JSON, Playbook

PLAN = AttemptPlan()
EVENT = b"event: message_start\ndata: {}\n\n"
FIRST_ALIAS = 2**40

STATES: dict[str, Callable[[Playbook], object]] = {
    "waiting for the head": lambda book: None,
    "gate": lambda book: book.respond(200, EVENT_STREAM),
    "gate with bytes held": lambda book: book.respond(200, EVENT_STREAM, b": hi\n\n"),
    "peek": lambda book: book.respond(500),
    "streaming": lambda book: book.respond(200, EVENT_STREAM, EVENT),
}


@pytest.mark.parametrize("retried", [False, True], ids=["first attempt", "second attempt"])
@pytest.mark.parametrize("state", STATES)
def test_when_the_client_leaves_the_live_attempt_is_cancelled_and_nothing_follows(state: str, retried: bool) -> None:
    with Playbook() as book:
        book.ask()
        if retried:
            book.respond(503)
            book.advance(1.0)
        STATES[state](book)
        live, before = book.asked[-1], len(book.trace)
        assert (live >= FIRST_ALIAS) is retried
        book.leave()
        assert book.trace[before:] == ["upstream RequestProtocolError CANCEL", "hook error"]
        cancel = book.sent_to("upstream", RequestProtocolError)[-1]
        assert (cancel.stream_id, cancel.code) == (live, ErrorCode.CANCEL)
        book.send(b"late", to=live)
        book.break_off(to=live)
        book.advance(1000.0)
        assert len(book.trace) == before + 2
        assert book.exchange().terminal is Terminal.CLIENT_CANCELLED
        assert book.layer.streams == {}


def test_a_client_that_leaves_while_dialing_ends_the_dial() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        book.leave()
        assert book.trace == [*ASKED[:3], "close", "hook error"]
        assert book.exchange().terminal is Terminal.CLIENT_CANCELLED
        assert book.layer.streams == {}
        assert book.layer.command_sources.keys() == {wakeup for _, wakeup in book.wakeups}


def test_a_client_that_leaves_during_the_back_off_ends_it() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(503)
        book.leave()
        book.advance(1000.0)
        assert book.trace == [*ASKED, "upstream RequestProtocolError CANCEL", "hook error"]
        assert book.layer.streams == {}


@pytest.mark.parametrize(
    "hook, fail",
    [
        ("upstream_failed", lambda book: book.respond(503)),
        ("upstream_failed", lambda book: book.break_off()),
        ("upstream_response", lambda book: book.respond(200)),
        ("responseheaders", lambda book: book.respond(200)),
    ],
)
def test_a_client_that_leaves_during_a_hook_gets_nothing_tried_again(
    hook: str, fail: Callable[[Playbook], None]
) -> None:
    nothing: dict[str, Any] = {"upstream_failed": lambda *_: None, "upstream_response": lambda *_: None}
    with Playbook(hooks=nothing) as book:
        book.ask()
        book.pauses = {hook}
        fail(book)
        assert len(book.paused) == 1
        book.leave()
        before = len(book.trace)
        book.resume()
        book.advance(1000.0)
        assert [line for line in book.trace[before:] if "CANCEL" not in line] == ["hook error"]
        assert len(book.asked) == 1
        assert book.count("hook error") == 1
        assert not book.sent_to("client")
        assert book.exchange().terminal is Terminal.CLIENT_CANCELLED
        assert book.layer.streams == {}


@pytest.mark.parametrize("hook", ["upstream_failed", "upstream_response", "responseheaders", "request"])
def test_a_killed_flow_goes_no_further(hook: str) -> None:
    hooks: dict[str, Any] = {"upstream_failed": lambda *_: None, "upstream_response": lambda *_: None}
    hooks[hook] = lambda flow, *_: flow.kill()
    with Playbook(hooks=hooks) as book:
        book.ask()
        if hook != "request":
            book.respond(503 if hook == "upstream_failed" else 200, JSON)
        book.advance(1000.0)
        assert len(book.asked) == (0 if hook == "request" else 1)
        assert book.count("upstream RequestProtocolError CANCEL") == len(book.asked)
        assert book.trace[-2:] == ["hook error", "client ResponseProtocolError KILL"]
        assert book.exchange().terminal is Terminal.REFUSED
        assert not book.flows[1].live


def test_the_connect_deadline_ends_the_dial_and_another_is_made() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        book.advance(PLAN.connect_timeout - 0.01)
        assert book.count("close") == 0
        book.advance(0.02)
        assert book.count("close") == 1
        book.advance(1.0)
        book.respond(body=b"{}")
        assert book.reasons() == ["connect_timeout", None]
        assert book.ended()


def test_a_dial_that_fails_is_tried_again_on_a_fresh_connection() -> None:
    with Playbook(dials=["[Errno 111] Connection refused", "[Errno 111] Connection refused"]) as book:
        book.ask()
        book.advance(2.0)
        book.respond(body=b"{}")
        assert book.reasons() == ["connect_failed", "connect_failed", None]
        assert book.count("open") == 3
        assert not book.sent_to("upstream", RequestProtocolError), "there was nothing to cancel"
        assert book.ended()


def test_a_dial_that_fails_for_good_is_answered_and_the_next_request_dials_afresh() -> None:
    with Playbook(plan=AttemptPlan(max_attempts=1), dials=["[Errno -2] Name or service not known"]) as book:
        book.ask()
        assert (book.response().status_code, book.reasons()) == (502, ["dns_failed"])
        assert b"could not be resolved" in book.body()
        book.ask(3)
        book.respond(body=b"{}")
        assert book.response(3).status_code == 200


def test_a_dial_that_ends_after_its_request_was_given_up_is_ignored() -> None:
    with Playbook(dials=["pending"], alpn=b"h2") as book:
        book.ask(1)
        book.ask(3)
        book.leave(1)
        assert book.count("close") == 0, "the other request waits for the same connection"
        book.dialed()
        assert book.asked == [3]


@pytest.mark.parametrize("error", ["connection cancelled", None])
def test_the_late_end_of_a_former_dial_is_not_taken_for_that_of_the_running_one(error: str | None) -> None:
    with Playbook(dials=["hanging", "pending"]) as book:
        book.ask()
        book.advance(PLAN.connect_timeout + 1.0)
        assert len(book.pending) == 2, "one that was given up and hangs, one that goes on"
        book.dialed(error)
        assert book.asked == []
        book.dialed()
        assert len(book.asked) == 1
        book.respond(body=b"{}")
        assert book.reasons() == ["connect_timeout", None]


def test_the_first_byte_deadline_covers_the_head_and_an_event_stream_that_has_none() -> None:
    for headers in (None, EVENT_STREAM):
        with Playbook() as book:
            book.ask()
            if headers:
                book.respond(200, headers)
            book.advance(PLAN.first_byte_timeout - 0.01)
            assert not book.sent_to("client")
            book.advance(0.02)
            assert (book.response().status_code, book.reasons()) == (504, ["first_byte_timeout"])
            assert book.count("upstream RequestProtocolError CANCEL") == 1
            assert book.layer.streams == {}


def test_a_deadline_of_zero_never_comes() -> None:
    with Playbook(AttemptPlan(connect_timeout=0, first_byte_timeout=0, idle_timeout=0), dials=["pending"]) as book:
        book.ask()
        book.advance(5000.0)
        book.dialed()
        book.advance(5000.0)
        book.respond(200, EVENT_STREAM)
        book.advance(5000.0)
        book.send(EVENT)
        book.advance(5000.0)
        book.end()
        assert book.ended()


def test_a_tick_that_comes_early_waits_on() -> None:
    with Playbook(AttemptPlan(first_byte_timeout=5.0, idle_timeout=20.0, keepalive=0)) as book:
        book.ask()
        book.advance(4.0)
        book.respond(200, EVENT_STREAM, EVENT)
        book.advance(15.0)
        assert not book.exchange().terminal
        book.send(EVENT)
        book.advance(19.0)
        assert not book.exchange().terminal
        book.advance(1.1)
        assert book.exchange().terminal is Terminal.TRUNCATED


@pytest.mark.parametrize("idle_timeout", [20.0, 0.0])
def test_a_tick_that_a_hook_held_up_is_for_the_state_before(idle_timeout: float) -> None:
    plan = AttemptPlan(first_byte_timeout=5.0, idle_timeout=idle_timeout, keepalive=0)
    with Playbook(plan, hooks={"upstream_response": lambda *_: None}, pauses={"upstream_response"}) as book:
        book.ask()
        book.respond(200, JSON)
        book.advance(6.0)
        book.resume()
        assert book.response().status_code == 200
        book.advance(19.0)
        assert not book.exchange().terminal
        book.advance(2.0)
        assert book.exchange().terminal is (Terminal.TRUNCATED if idle_timeout else None)


def test_a_tick_that_a_hook_held_up_does_not_shorten_the_back_off() -> None:
    hooks = {"upstream_response": lambda *_: None}
    with Playbook(AttemptPlan(first_byte_timeout=5.0), hooks=hooks, pauses={"upstream_response"}) as book:
        book.ask()
        book.respond(503)
        book.advance(6.0)
        book.resume()
        assert len(book.asked) == 1
        book.advance(0.3)
        assert len(book.asked) == 2


def test_a_response_that_breaks_off_after_its_head_went_out_is_cut() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.break_off()
        assert book.trace[-2:] == ["hook error", "client ResponseProtocolError GENERIC_SERVER_ERROR"]
        assert len(book.asked) == 1
        assert (book.exchange().terminal, book.reasons()) == (Terminal.TRUNCATED, ["reset"])
        assert book.layer.streams == {}
        book.break_off()
        assert book.count("hook error") == 1


def test_a_connection_that_closes_after_the_response_is_no_failure() -> None:
    with Playbook(pauses={"response"}) as book:
        book.ask()
        book.respond(body=b"{}")
        book.break_off()
        book.resume()
        assert book.count("hook error") == 0
        assert book.ended()


def test_a_client_that_leaves_as_an_empty_stream_ends_gets_nothing_more() -> None:
    """The end of a stream without an event opens the gate; the hook of that moment finds the client gone."""
    with Playbook(pauses={"responseheaders"}) as book:
        book.ask()
        book.respond(200, EVENT_STREAM)
        book.end()
        book.leave()
        book.resume()
        assert book.exchange().terminal == Terminal.CLIENT_CANCELLED
        assert book.count("hook error") == 1
        assert not book.ended()
