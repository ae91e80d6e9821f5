"""A response that an addon wants to read before anybody decides about it: held back, read, released or given up."""

import gzip
import json
from collections.abc import Callable

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import ResponseTrailers

from codemie_core.exchange import Attempt
from codemie_core.policy import Reason, Release, Retry
from support.playbook import EVENT_STREAM, JSON, Playbook

SPENT = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "spent"}}'
MEANWHILE = 5.0

type Decide = Callable[[http.HTTPFlow, Attempt], object]


def reading(decision: object = None, **more: Decide) -> dict[str, Decide]:
    """An addon that reads each error, notes what it says and then decides."""

    def upstream_response(flow: http.HTTPFlow, attempt: Attempt) -> None:
        if flow.response is not None and flow.response.status_code >= 400:
            attempt.read_body()

    def upstream_failed(_: http.HTTPFlow, attempt: Attempt) -> None:
        attempt.decision = decision or attempt.decision  # type: ignore[assignment] # anything, as a test likes

    return {"upstream_response": upstream_response, "upstream_failed": upstream_failed, **more}


@pytest.mark.parametrize("status", [400, 401, 429])
def test_an_error_is_read_and_then_released_byte_for_byte(status: int) -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(status, JSON, SPENT[:20])
        book.send(SPENT[20:])
        assert not book.sent_to("client"), "it is held until it is read"
        book.end()
        attempt = book.exchange().attempts[0]
        assert (attempt.body, attempt.failure and attempt.failure.reason) == (SPENT, Reason.STATUS)
        assert isinstance(attempt.decision, Release)
        assert (book.response().status_code, book.body(), book.ended()) == (status, SPENT, True)
        assert book.layer.streams == {}


def test_an_error_that_was_read_is_tried_again_and_nothing_of_it_goes_out() -> None:
    with Playbook(hooks=reading(Retry())) as book:
        book.ask()
        book.respond(429, JSON, SPENT)
        book.end()
        book.respond(200, JSON, b"{}")
        book.end()
        assert len(book.asked) == 2
        assert (book.response().status_code, book.body()) == (200, b"{}")


def test_an_error_read_whole_needs_no_cancelling() -> None:
    with Playbook(hooks=reading(Retry())) as book:
        book.ask()
        book.respond(429, JSON, SPENT)
        book.end()
        assert book.count("upstream RequestProtocolError CANCEL") == 0


def test_a_compressed_error_is_read_in_clear_and_released_compressed() -> None:
    packed = gzip.compress(SPENT)
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(429, [*JSON, ("content-encoding", "gzip")], packed)
        book.end()
        assert book.exchange().attempts[0].body == SPENT
        assert book.body() == packed


def test_an_endless_error_is_read_up_to_a_bound() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(429, JSON, *[b"x" * 16384] * 4)
        assert len(book.exchange().attempts[0].body or b"") == 65536
        assert len(book.body()) == 65536
        book.send(b"more")
        book.end()
        assert book.body().endswith(b"xmore")
        assert book.ended()


def test_an_error_that_stalls_is_decided_about_with_what_has_come() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(429, JSON, SPENT[:20])
        book.advance(MEANWHILE)
        assert book.exchange().attempts[0].body == SPENT[:20]
        book.send(SPENT[20:])
        book.end()
        assert (book.body(), book.ended()) == (SPENT, True)


def test_an_error_without_a_body_is_decided_about_at_once() -> None:
    with Playbook(hooks=reading(Retry())) as book:
        book.ask()
        book.respond(401, JSON, end_stream=True)
        assert book.exchange().attempts[0].body == b""
        assert len(book.asked) == 2


def test_an_empty_error_of_undeclared_length_becomes_json_when_it_is_released() -> None:
    with Playbook(hooks=reading(Release())) as book:
        book.ask()
        book.respond(500, JSON)
        book.end()
        assert json.loads(book.body())["error"]
        assert (book.response().status_code, book.ended()) == (500, True)


def test_an_error_page_becomes_json_when_it_is_released() -> None:
    with Playbook(hooks=reading(Release())) as book:
        book.ask()
        book.respond(503, [("content-type", "text/html")], b"<html>down</html>")
        book.end()
        assert b"<html>" not in book.body()
        assert book.response().status_code == 503


def test_an_error_that_breaks_off_while_it_is_read_is_a_reset() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(429, JSON, SPENT[:9])
        book.break_off()
        book.advance(1.0)
        assert book.reasons()[0] == "reset"
        assert len(book.asked) == 2


def test_a_status_that_policy_tries_again_is_read_before_it_is() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(529, JSON, SPENT)
        book.end()
        assert book.exchange().attempts[0].body == SPENT
        book.advance(1.0)
        assert len(book.asked) == 2


def test_trailers_of_an_error_that_was_read_go_out_with_it() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(429, JSON, SPENT)
        book.end(trailers=http.Headers(x=b"1"))
        assert len(book.sent_to("client", ResponseTrailers)) == 1
        assert book.ended()


def test_a_client_that_leaves_while_an_error_is_read_ends_it() -> None:
    with Playbook(hooks=reading(Retry())) as book:
        book.ask()
        book.respond(429, JSON, SPENT[:9])
        book.leave()
        book.send(SPENT[9:])
        book.end()
        assert len(book.asked) == 1
        assert book.count("upstream RequestProtocolError CANCEL") == 1


def test_a_stream_nobody_wants_to_read_is_not_held() -> None:
    with Playbook(hooks=reading()) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, b"data: 1\n\n")
        assert book.body() == b"data: 1\n\n"
