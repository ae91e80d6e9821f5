import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from codemie_core.errors import Api, Problem
from codemie_core.exchange import BOOK, exchange_of
from codemie_core.policy import ReadyResponse, Reason
from codemie_core.seams.responses import (
    LONGEST_RETRY_AFTER,
    is_event_stream,
    keepalive_frame,
    may_be_empty,
    needs_json,
    ready_response,
    retry_after,
    takes_keepalive,
    why_broken,
)
from codemie_core.sse import SseParser

SSE = "text/event-stream"
POST, HEAD = tutils.treq(method=b"POST"), tutils.treq(method=b"HEAD")


def response(status: int = 200, /, **headers: str) -> http.Response:
    """With exactly these headers."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), None, None, 0, None)


@pytest.mark.parametrize(
    "headers, streams, kept_alive",
    [
        ({"content_type": SSE}, True, True),
        ({"content_type": f"{SSE}; charset=utf-8"}, True, True),
        ({"content_type": SSE, "content_encoding": "identity"}, True, True),
        ({"content_type": SSE, "content_encoding": "gzip"}, True, False),
        ({"content_type": SSE, "content_length": "9"}, True, False),
        ({}, True, False),
        ({"content_length": "9"}, False, False),
        ({"content_type": "application/json"}, False, False),
        ({"content_type": "text/plain"}, False, False),
    ],
)
def test_what_is_an_event_stream_and_takes_frames_of_ours(
    headers: dict[str, str], streams: bool, kept_alive: bool
) -> None:
    assert is_event_stream(response(**headers)) is streams
    assert takes_keepalive(response(**headers)) is kept_alive


@pytest.mark.parametrize("api", Api)
def test_a_keepalive_is_a_frame_that_nobody_takes_for_content(api: Api) -> None:
    frame = keepalive_frame(api)
    assert frame.endswith(b"\n\n")
    parsed = [(event.event, json.loads(event.data)) for event in SseParser().feed(frame)]
    assert parsed == ([("ping", {"type": "ping"})] if api is Api.ANTHROPIC else [])


@pytest.mark.parametrize(
    "status, headers, end_stream, json_instead",
    [
        (500, {"content_type": "text/html"}, False, True),
        (502, {"content_type": "TEXT/HTML; charset=utf-8"}, False, True),
        (503, {"content_type": "application/xhtml+xml"}, False, True),
        (503, {"content_length": "0"}, False, True),
        (503, {}, True, True),
        (503, {}, False, False),
        (503, {"content_type": "application/json"}, False, False),
        (500, {"content_type": "text/plain"}, False, False),
        (404, {"content_type": "text/html"}, False, False),
        (404, {"content_length": "0"}, True, False),
        (200, {"content_type": "text/html"}, False, False),
    ],
)
def test_only_a_server_error_that_is_html_or_empty_becomes_json(
    status: int, headers: dict[str, str], end_stream: bool, json_instead: bool
) -> None:
    assert needs_json(POST, response(status, **headers), end_stream) is json_instead
    assert not needs_json(HEAD, response(status, **headers), end_stream)


@pytest.mark.parametrize(
    "status, headers, unknown",
    [
        (500, {}, True),
        (529, {"content_type": "application/json"}, True),
        (500, {"content_length": "7"}, False),
        (499, {}, False),
        (200, {}, False),
    ],
)
def test_a_server_error_of_undeclared_length_may_be_empty(status: int, headers: dict[str, str], unknown: bool) -> None:
    assert may_be_empty(POST, response(status, **headers)) is unknown
    assert not may_be_empty(HEAD, response(status, **headers))


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0663", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +9999", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999999", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    headers = http.Headers() if value is None else http.Headers([(b"retry-after", value.encode())])
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date_is_the_time_from_now() -> None:
    date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90)
    before = time.time()
    seconds = retry_after(http.Headers([(b"retry-after", format_datetime(date, usegmt=True).encode())]))
    assert seconds is not None
    assert date.timestamp() - time.time() <= seconds <= date.timestamp() - before


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(st.text(max_size=60), st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]\d+")))
def test_no_retry_after_does_harm(value: str) -> None:
    seconds = retry_after(http.Headers([(b"retry-after", value.encode("utf-8", "surrogateescape"))]))
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    "message, reason",
    [
        ("server closed connection", Reason.RESET),
        ("Stream reset by server (INTERNAL_ERROR)", Reason.RESET),
        ("HTTP/1 protocol error: peer closed connection without sending complete message body", Reason.RESET),
        ("", Reason.RESET),
        ("Cannot parse HTTP response: invalid literal", Reason.BAD_HEAD),
        ("unexpected server response: b'secret'", Reason.BAD_HEAD),
        ("response head larger than 256 KiB", Reason.BAD_HEAD),
    ],
)
def test_a_broken_response_is_sorted_and_quotes_nothing(message: str, reason: Reason) -> None:
    failure = why_broken(message)
    assert (failure.reason, failure.detail) == (reason, "")


@pytest.mark.parametrize("path, api", [("/v1/messages", Api.ANTHROPIC), ("/v1/responses", Api.OPENAI)])
def test_a_problem_becomes_a_response_in_the_shape_of_the_api(path: str, api: Api) -> None:
    flow = tflow.tflow(req=tutils.treq(path=path.encode()))
    exchange = exchange_of(flow)
    made = ready_response(Problem(503, "upstream_error", "Busy.", 7), exchange)
    BOOK.close(exchange)
    assert exchange.api is api
    assert (made.status_code, made.headers["content-type"], made.headers["retry-after"]) == (
        503,
        "application/json",
        "7",
    )
    assert made.headers["x-codemie-request-id"] == exchange.request_id
    assert made.headers["content-length"] == str(len(made.raw_content or b""))
    assert "Busy." in made.json()["error"]["message"]


def test_a_ready_response_is_given_as_it_is() -> None:
    flow = tflow.tflow()
    made = ready_response(ReadyResponse(418, (("x-tea", "pot"), ("x-tea", "two")), b"tea"), exchange_of(flow))
    BOOK.close(exchange_of(flow))
    assert (made.status_code, made.headers.get_all("x-tea"), made.raw_content) == (418, ["pot", "two"], b"tea")
