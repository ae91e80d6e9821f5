"""The attempt machine as a whole, without sockets: which hooks and commands it issues, in which order."""

import dataclasses
from collections.abc import Callable

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseHeaders,
)
from pydantic import SecretStr

from codemie_core.credential import Credential
from codemie_core.errors import Problem
from codemie_core.exchange import Attempt, Terminal, exchange_of
from codemie_core.policy import HARD_ATTEMPT_LIMIT, Answer, AttemptPlan, ReadyResponse, Release, Retry
from codemie_core.seams.ticker import Tick
from support.playbook import ASKED, EVENT_STREAM, Playbook

PLAN = AttemptPlan()
ERROR_EVENT = b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n'
EVENT = b"event: message_start\ndata: {}\n\n"
FIRST_ALIAS = 2**40

type Decide = Callable[[http.HTTPFlow, Attempt], object]


def deciding(decision: object) -> dict[str, Decide]:
    """An addon that overrules the policy."""

    def upstream_failed(_: http.HTTPFlow, attempt: Attempt) -> None:
        attempt.decision = decision  # type: ignore[assignment] # the addon of a test may put anything there

    return {"upstream_failed": upstream_failed}


def rejecting(*more: tuple[str, Decide], only_first: bool = False) -> dict[str, Decide]:
    """An addon that lets no response pass."""

    def upstream_response(_: http.HTTPFlow, attempt: Attempt) -> None:
        if not only_first or attempt.number == 1:
            attempt.reject("account is spent")

    return {"upstream_response": upstream_response, **dict(more)}


DELIVERED = [
    "hook responseheaders",
    "client ResponseHeaders 200",
    "client ResponseData",
    "hook response",
    "client ResponseEndOfMessage",
]


def test_a_plain_exchange_goes_through_in_order() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(body=b'{"ok":1}')
        assert book.trace == ASKED + DELIVERED
        assert book.asked == [1]
        assert book.layer.streams == {}
        assert not book.flows[1].live


def test_a_retry_cancels_the_former_attempt_and_goes_on_under_an_alias() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(503)
        assert book.trace == [*ASKED, "upstream RequestProtocolError CANCEL"]
        book.advance(PLAN.backoff)
        book.respond(body=b"{}")
        assert book.trace == [*ASKED, "upstream RequestProtocolError CANCEL", *ASKED[3:], *DELIVERED]
        assert book.asked[0] == 1
        assert book.asked[1] >= FIRST_ALIAS
        (cancel,) = book.sent_to("upstream", RequestProtocolError)
        assert cancel.stream_id == 1
        assert {event.stream_id for event in book.sent_to("client")} == {1}
        assert book.layer.streams == {}


def test_no_alias_stays_behind_after_any_number_of_attempts() -> None:
    with Playbook() as book:
        book.ask()
        for _ in range(2):
            book.respond(503)
            book.advance(1.0)
        assert len(book.layer.streams) == 2, "the stream itself and its running alias"
        book.respond(503, body=b"busy")
        assert len(set(book.asked)) == 3
        assert (book.response().status_code, book.body()) == (503, b"busy")
        assert book.layer.streams == {}


def test_late_events_of_an_abandoned_attempt_are_ignored() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(503)
        book.advance(1.0)
        first, second = book.asked
        book.send(b"late", to=first)
        book.end(to=first)
        book.respond(200, body=b"wrong", to=first)
        book.break_off(to=first)
        book.respond(200, body=b"right", to=second)
        assert book.body() == b"right"
        assert book.ended()
        assert book.reasons() == ["status", None]


def test_a_failure_that_has_no_wait_is_tried_again_at_once() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(body=b"{}")
        book.advance(1.0)
        book.ask(3)
        book.break_off()
        assert book.asked[1:] == [3, book.asked[-1]], "the second try needed no time"
        attempt = book.exchange(3).attempts[0]
        assert attempt.reused_connection
        assert attempt.decision == Retry(0.0)
        book.respond(body=b"{}")
        assert book.ended(3)


def test_a_fresh_connection_is_not_taken_for_a_reused_one() -> None:
    with Playbook() as book:
        book.ask()
        book.break_off()
        assert book.asked == [1]
        assert not book.exchange().attempts[0].reused_connection


FAILURES: dict[str, Callable[[Playbook], object]] = {
    "status": lambda book: book.respond(503),
    "error_event": lambda book: book.respond(200, EVENT_STREAM, ERROR_EVENT),
    "reset": lambda book: book.break_off(),
    "first_byte_timeout": lambda book: book.advance(PLAN.first_byte_timeout),
}


@pytest.mark.parametrize("reason", FAILURES)
@pytest.mark.parametrize("alpn", [None, b"h2"])
def test_each_failure_before_the_head_has_gone_out_can_be_mended(reason: str, alpn: bytes | None) -> None:
    with Playbook(AttemptPlan(budget=1000.0), hooks=deciding(Retry()), alpn=alpn) as book:
        book.ask()
        FAILURES[reason](book)
        book.respond(200, EVENT_STREAM, EVENT)
        book.end()
        assert book.reasons() == [reason, None]
        assert (book.response().status_code, book.body(), book.ended()) == (200, EVENT, True)
        assert book.layer.streams == {}


def test_a_head_that_is_not_valid_is_answered_for_without_its_words() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(200, [("planted word", "1")])
        assert (book.reasons(), book.response().status_code) == (["bad_head"], 502)
        assert b"planted" not in book.body()
        assert book.ended()


def test_a_head_that_is_not_valid_passes_when_mitmproxy_is_told_so() -> None:
    with Playbook(options={"validate_inbound_headers": False}) as book:
        book.ask()
        book.respond(200, [("transfer-encoding", "chunked"), ("content-length", "1")])
        assert book.response().status_code == 200


@pytest.mark.parametrize(
    "decision, status, body",
    [
        (Release(), 503, b"busy"),
        (Answer(Problem(429, "all_spent", "Come back later.")), 429, None),
        (Answer(ReadyResponse(418, (("x-tea", "pot"),), b"tea")), 418, b"tea"),
        (None, 503, None),
    ],
)
def test_an_addon_overrules_what_happens_next(decision: object, status: int, body: bytes | None) -> None:
    with Playbook(hooks=deciding(decision)) as book:
        book.ask()
        book.respond(503, body=b"busy")
        book.advance(1.0)
        assert len(book.asked) == 1
        assert book.response().status_code == status
        assert book.ended()
        assert body is None or book.body() == body
        assert book.exchange().terminal in (None, Terminal.UPSTREAM_ERROR)


def test_an_addon_has_a_failure_tried_again_that_is_none_to_the_policy() -> None:
    with Playbook(hooks={**rejecting(only_first=True), **deciding(Retry(0.5))}) as book:
        book.ask()
        book.respond(429)
        assert len(book.asked) == 1
        book.advance(0.5)
        book.respond(body=b"{}")
        assert (len(book.asked), book.response().status_code) == (2, 200)


def test_an_error_event_is_released_with_all_that_was_held() -> None:
    with Playbook(hooks=deciding(Release())) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, b": hello\n\n", ERROR_EVENT)
        book.send(b"more")
        book.end()
        assert book.body() == b": hello\n\n" + ERROR_EVENT + b"more"
        assert book.ended()


def test_a_rejected_response_never_reaches_the_client() -> None:
    with Playbook(hooks=rejecting()) as book:
        book.ask()
        book.respond(200, body=b"secret")
        assert book.reasons() == ["rejected"]
        assert book.response().status_code == 502
        assert b"secret" not in book.body()
        assert book.count("upstream RequestProtocolError CANCEL") == 1


def test_a_rejected_response_is_released_when_an_addon_says_so() -> None:
    with Playbook(hooks={**rejecting(), **deciding(Release())}) as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.end()
        assert (book.response().status_code, book.body()) == (200, EVENT)


def test_the_account_that_was_rejected_is_replaced_within_one_exchange() -> None:
    def next_account(flow: http.HTTPFlow, attempt: Attempt) -> None:
        flow.request.host = "second.test"
        attempt.decision = Retry()

    with Playbook(hooks=rejecting(("upstream_failed", next_account), only_first=True)) as book:
        book.ask()
        book.respond(429)
        assert [server.address for server in book.servers] == [("upstream.test", 80), ("second.test", 80)]
        book.respond(body=b"{}")
        assert [attempt.host for attempt in book.exchange().attempts] == ["upstream.test", "second.test"]


def test_an_addon_that_fails_closed_is_not_overruled() -> None:
    refusal = Answer(Problem(502, "addon_failed", "The accounts addon failed."))

    def close(_: http.HTTPFlow, attempt: Attempt) -> None:
        attempt.final = refusal
        attempt.decision = Retry()

    with Playbook(hooks={"upstream_failed": close}) as book:
        book.ask()
        book.respond(503)
        assert len(book.asked) == 1
        assert b"The accounts addon failed." in book.body()
        assert book.exchange().attempts[0].decision is refusal


def test_an_addon_that_never_gives_up_is_stopped() -> None:
    with Playbook(hooks=deciding(Retry())) as book:
        book.ask()
        for _ in range(HARD_ATTEMPT_LIMIT):
            assert not book.ended()
            book.respond(503, body=b"busy")
        assert (len(book.asked), book.response().status_code) == (HARD_ATTEMPT_LIMIT, 503)


def test_an_addon_cannot_try_again_beyond_the_budget() -> None:
    with Playbook(hooks=deciding(Retry())) as book:
        book.ask()
        book.respond(503)
        book.advance(PLAN.budget + 1)
        book.respond(503, body=b"busy")
        assert (len(book.asked), book.response().status_code) == (2, 503)


def test_nobody_is_asked_about_attempts_when_no_addon_listens() -> None:
    with Playbook() as book:
        book.ask()
        book.respond(503)
        assert not [line for line in book.trace if "upstream_" in line]


def test_the_hooks_of_an_attempt_come_between_the_head_and_the_next_try() -> None:
    with Playbook(hooks={"upstream_response": lambda *_: None, "upstream_failed": lambda *_: None}) as book:
        book.ask()
        book.respond(503)
        book.advance(1.0)
        book.respond(body=b"{}")
        assert book.trace[len(ASKED) :] == [
            "hook upstream_response",
            "hook upstream_failed",
            "upstream RequestProtocolError CANCEL",
            *ASKED[3:],
            "hook upstream_response",
            *DELIVERED,
        ]


def test_trailers_and_credentials_go_with_every_attempt() -> None:
    key = Credential("https", "elsewhere.test", 443, "/", {"x-api-key": SecretStr("planted-key")})

    def attach(flow: http.HTTPFlow) -> None:
        exchange_of(flow).credentials.append(key)

    with Playbook(hooks={"request": attach}, alpn=b"h2") as book:
        book.ask(trailers=http.Headers([(b"x-sum", b"1")]))
        book.respond(503)
        book.advance(1.0)
        sent = book.sent_to("upstream", RequestData, RequestTrailers)
        assert [type(event).__name__ for event in sent] == ["RequestData", "RequestTrailers"] * 2
        assert [event.stream_id for event in sent] == [id for id in book.asked for _ in range(2)]
        assert not any(head.end_stream for head in book.sent_to("upstream", RequestHeaders))
        assert [book.exchange().held_back, *(tried.held_back for tried in book.exchange().attempts)] == [2, 1, 1]
        assert "x-api-key" not in book.flows[1].request.headers


def test_trailers_are_dropped_before_an_http1_upstream() -> None:
    """mitmproxy cannot write them there and would leave the request without its end."""
    with Playbook() as book:
        book.ask(trailers=http.Headers([(b"x-sum", b"1")]))
        assert book.count("upstream RequestTrailers") == 0
        assert book.count("upstream RequestEndOfMessage") == 1


def test_a_request_without_a_body_ends_with_its_head() -> None:
    with Playbook() as book:
        book.ask(body=b"", method="GET")
        (head,) = book.sent_to("upstream", RequestHeaders)
        assert head.end_stream
        assert book.count("upstream RequestData") == 0


UPGRADE = (
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


@pytest.mark.parametrize("retried", [False, True], ids=["first attempt", "second attempt"])
def test_after_an_upgrade_the_server_goes_on_knowing_us_by_the_live_id(retried: bool) -> None:
    with Playbook() as book:
        book.ask(body=b"", method="GET", headers=UPGRADE)
        if retried:
            book.respond(503)
            book.advance(1.0)
        live = book.asked[-1]
        book.respond(101, [*UPGRADE, ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")], end_stream=True)
        book.end()
        assert book.trace[-2:] == ["hook websocket_start", "client ResponseEndOfMessage"]
        book.client_says(RequestData(1, b"\x81\x82\x00\x00\x00\x00hi"))
        to_server = book.sent_to("upstream", RequestData)[-1]
        assert to_server.stream_id == live
        assert to_server.data.endswith(b"hi") or len(to_server.data) == 8
        book.send(b"\x81\x02yo", to=live)
        assert book.body() == b"\x81\x02yo"
        websocket = book.flows[1].websocket
        assert websocket
        assert [message.content for message in websocket.messages] == [b"hi", b"yo"]
        book.advance(1000.0)
        before = len(book.seen)
        book.client_says(RequestEndOfMessage(1))
        assert {event.stream_id for name, event in book.seen[before:] if name == "upstream"} == {live}
        assert book.count("hook websocket_end") == 1


def test_a_tick_after_the_upgrade_is_ignored() -> None:
    with Playbook() as book:
        book.ask(body=b"", method="GET", headers=UPGRADE)
        book.respond(101, [*UPGRADE, ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")], end_stream=True)
        book.end()
        before = list(book.trace)
        assert list(book.layer.streams[1].handle_event(Tick())) == []
        assert book.trace == before


def test_a_flow_without_a_plan_is_left_to_mitmproxy() -> None:
    with Playbook(plan=None) as book:
        book.ask()
        assert list(book.layer.streams[1].handle_event(Tick())) == []
        book.respond(503, body=b"busy")
        assert book.trace == ASKED + [line.replace("200", "503") for line in DELIVERED]
        assert not book.exchange().attempts


def test_an_error_of_a_flow_without_a_plan_is_left_to_mitmproxy() -> None:
    with Playbook(plan=None) as book:
        book.ask()
        book.break_off()
        assert book.trace[-2:] == ["hook error", "client ResponseProtocolError GENERIC_SERVER_ERROR"]
        book.ask(3)
        book.leave(3)
        assert book.trace[-2:] == ["upstream RequestProtocolError CLIENT_DISCONNECTED", "hook error"]


def test_times_of_an_attempt_count_from_its_own_begin() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        book.advance(0.5)
        book.dialed()
        book.advance(1.0)
        book.respond(200, EVENT_STREAM)
        book.advance(1.0)
        book.send(EVENT)
        book.advance(2.0)
        book.end()
        attempt = dataclasses.asdict(book.exchange().attempts[0])
        times = {name: round(attempt[name]) for name in ("connected_ms", "head_ms", "first_byte_ms", "ended_ms")}
        assert times == {"connected_ms": 500, "head_ms": 1500, "first_byte_ms": 2500, "ended_ms": 4500}
        assert attempt["status"] == 200


def test_stream_ids_of_two_requests_do_not_meet() -> None:
    with Playbook(alpn=b"h2") as book:
        for number in (1, 3, 5):
            book.ask(number)
        for number in (1, 3, 5):
            book.respond(503, to=number)
        book.advance(1.0)
        aliases = book.asked[3:]
        assert len(set(aliases)) == 3
        assert len(book.servers) == 1
        for alias in aliases:
            book.respond(body=str(alias).encode(), to=alias)
        assert sorted(book.body(number) for number in (1, 3, 5)) == sorted(str(alias).encode() for alias in aliases)
        assert book.layer.streams == {}
        assert [head.response.status_code for head in book.sent_to("client", ResponseHeaders)] == [200] * 3
