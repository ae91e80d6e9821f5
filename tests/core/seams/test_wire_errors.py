"""What a client reads when something is wrong with the wire itself, byte for byte."""

import json
from typing import Any

import h2.events
import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.layers.http import ErrorCode, ResponseHeaders, ResponseProtocolError
from mitmproxy.test import tutils

from codemie_core.policy import AttemptPlan, Reason
from codemie_core.seams.wire_errors import MAX_HEAD, _framed, error_response
from support.playbook import EVENT_STREAM, JSON, Playbook
from support.playbook_h2 import H2Client

HEAD = b"POST http://upstream.test/v1/messages HTTP/1.1\r\nhost: upstream.test\r\ncontent-length: 2\r\n"


def parsed(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """One HTTP/1 response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), fields, body


def problem(raw: bytes, status: int) -> dict[str, Any]:
    """The error in this response, which must be one of ours."""
    got, fields, body = parsed(raw)
    assert (got, fields["content-type"], fields["connection"]) == (status, "application/json", "close")
    assert int(fields["content-length"]) == len(body)
    assert b"<html" not in raw
    error: dict[str, Any] = json.loads(body)["error"]
    return error


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST http://a.test/ HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST http://a.test/ HTTP/1.1\r\ncontent-length: minus\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_json(raw: bytes) -> None:
    with Playbook(wires={"client"}) as book:
        book.client_writes(raw)
        error = problem(book.taken(book.client), 400)
        assert error["code"].lower() == "malformed_request"
        assert book.count("close") == 1


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_request_head_without_end_is_refused(bytewise: bool) -> None:
    with Playbook(wires={"client"}) as book:
        book.client_writes(HEAD + b"x-pad: ")
        book.client_writes(b"y" * (MAX_HEAD - len(HEAD) - len(b"x-pad: ")))
        assert not book.taken(book.client), "one of the bound itself is taken"
        for piece in [b"y"] * 3 if bytewise else [b"yyy"]:
            book.client_writes(piece)
        error = problem(book.taken(book.client), 431)
        assert error["code"] == "request_head_too_large"
        assert book.count("close") == 1
        assert book.trace == ["close"]


def test_a_large_body_in_one_piece_with_its_head_is_no_large_head() -> None:
    with Playbook(wires={"client"}) as book:
        body = b"x" * (MAX_HEAD + 10)
        book.client_writes(HEAD.replace(b": 2", b": %d" % len(body)) + b"\r\n" + body)
        assert book.asked == [1]
        book.respond(body=b"{}")
        assert parsed(book.taken(book.client))[0] == 200


@pytest.mark.parametrize("path, shape", [("/v1/messages", "anthropic"), ("/v1/responses", "openai")])
def test_an_error_outside_the_machine_has_the_shape_of_the_api(path: str, shape: str) -> None:
    with Playbook(plan=None, wires={"client"}, dials=["refused"]) as book:
        book.client_writes(HEAD.replace(b"/v1/messages", path.encode()) + b"\r\n{}")
        raw = book.taken(book.client)
        error = problem(raw, 502)
        assert "refused" in error["message"]
        assert ("code" in error) is (shape == "openai")
        assert parsed(raw)[1]["x-codemie-request-id"]


def test_a_request_to_nowhere_is_answered_in_json() -> None:
    with Playbook(wires={"client"}) as book:
        book.client_writes(b"GET / HTTP/1.1\r\n\r\n")
        problem(book.taken(book.client), 400)


def test_a_response_that_has_begun_is_cut_and_nothing_is_written_into_it() -> None:
    with Playbook(AttemptPlan(max_attempts=1), wires={"client"}) as book:
        book.client_writes(HEAD + b"\r\n{}")
        book.respond(200, [*JSON, ("content-length", "9")], b"{")
        book.taken(book.client)
        book.break_off()
        assert book.taken(book.client) == b""
        assert book.client.state is ConnectionState.CLOSED


def test_a_killed_request_is_cut_without_a_word() -> None:
    with Playbook(wires={"client"}, hooks={"request": lambda flow: flow.kill()}) as book:
        book.client_writes(HEAD + b"\r\n{}")
        assert book.taken(book.client) == b""
        assert book.count("close") == 1


def test_a_client_that_reads_no_more_is_written_nothing() -> None:
    with Playbook(plan=None, wires={"client"}, dials=["pending"]) as book:
        book.client_writes(HEAD + b"\r\n{}")
        book.client.state = ConnectionState.CAN_READ
        book.dialed("refused")
        assert book.taken(book.client) == b""


@pytest.mark.parametrize(
    "status, code",
    [(413, "request_too_large"), (431, "request_head_too_large"), (400, "malformed_request"), (502, "upstream_error")],
)
@pytest.mark.parametrize(
    "request_", [None, tutils.treq(path=b"/v1/messages"), tutils.treq(path=b"/v1/chat/completions")]
)
def test_every_error_names_itself(status: int, code: str, request_: http.Request | None) -> None:
    made = error_response(status, "Words.", request_)
    error = made.json()["error"]
    assert made.status_code == status
    assert "Words." in error["message"]
    assert made.headers["content-type"] == "application/json"
    if request_ is None or "chat" in request_.path:
        assert error["code"] == code


POST = tutils.treq(method=b"POST")
HTTP10 = tutils.treq(method=b"POST", http_version=b"HTTP/1.0")


@pytest.mark.parametrize(
    "version, status, fields, request_, end_stream, added",
    [
        (b"HTTP/2.0", 200, (), POST, False, ("transfer-encoding", "chunked")),
        (b"HTTP/2.0", 200, (), POST, True, ("content-length", "0")),
        (b"HTTP/1.1", 200, (), POST, False, None),
        (b"HTTP/2.0", 200, ((b"content-length", b"3"),), POST, False, None),
        (b"HTTP/2.0", 200, ((b"transfer-encoding", b"chunked"),), POST, False, None),
        (b"HTTP/2.0", 204, (), POST, True, None),
        (b"HTTP/2.0", 304, (), POST, True, None),
        (b"HTTP/2.0", 101, (), POST, True, None),
        (b"HTTP/2.0", 200, (), tutils.treq(method=b"HEAD"), True, None),
        (b"HTTP/2.0", 200, (), tutils.treq(method=b"CONNECT"), False, None),
        (b"HTTP/2.0", 200, (), HTTP10, False, None),
        (b"HTTP/2.0", 200, (), None, False, None),
    ],
)
def test_a_response_of_http2_gets_the_frame_that_http1_needs(
    version: bytes,
    status: int,
    fields: tuple[tuple[bytes, bytes], ...],
    request_: http.Request | None,
    end_stream: bool,
    added: tuple[str, str] | None,
) -> None:
    response = http.Response(version, status, b"", http.Headers(fields), None, None, 0, None)
    event = ResponseHeaders(1, response, end_stream)
    framed = _framed(event, request_)
    assert (framed.stream_id, framed.end_stream) == (1, end_stream)
    assert response.headers.fields == fields, "mitmproxy saves the response of the upstream"
    if added is None:
        assert framed is event
    else:
        assert list(framed.response.headers.items()) == [added]


@pytest.mark.parametrize("cut", [False, True])
def test_a_stream_of_http2_that_is_cut_does_not_look_complete_in_http1(cut: bool) -> None:
    with Playbook(wires={"client"}, alpn=b"h2") as book:
        book.client_writes(HEAD + b"\r\n{}")
        response = http.Response(
            b"HTTP/2.0", 200, b"", http.Headers(content_type="text/event-stream"), None, None, 0, None
        )
        book.upstream_says(ResponseHeaders(1, response, False))
        book.send(b"data: {}\n\n")
        book.break_off() if cut else book.end()
        raw = book.taken(book.client)
        assert b"transfer-encoding: chunked" in raw.lower()
        assert raw.endswith(b"0\r\n\r\n") is not cut
        assert (book.count("close") == 0) is not cut


def test_an_http2_client_reads_json_as_well() -> None:
    with Playbook(plan=None, wires={"client"}, client_alpn=b"h2", dials=["refused"]) as book:
        client = H2Client(book)
        client.ask()
        (head,) = client.of(h2.events.ResponseReceived)
        fields = dict(head.headers)
        assert (fields[":status"], fields["content-type"]) == ("502", "application/json")
        body = b"".join(event.data for event in client.of(h2.events.DataReceived))
        assert "refused" in json.loads(body)["error"]["message"]
        assert client.of(h2.events.StreamEnded)
        assert not client.of(h2.events.StreamReset)


def test_an_http2_stream_that_has_begun_is_reset() -> None:
    with Playbook(AttemptPlan(max_attempts=1), wires={"client"}, client_alpn=b"h2") as book:
        client = H2Client(book)
        client.ask()
        book.respond(200, EVENT_STREAM, b"data: {}\n\n")
        assert [event.data for event in client.of(h2.events.DataReceived)] == [b"data: {}\n\n"]
        book.break_off()
        assert len(client.of(h2.events.StreamReset)) == 1
        assert not client.of(h2.events.StreamEnded)


def test_a_killed_http2_request_is_reset() -> None:
    with Playbook(wires={"client"}, client_alpn=b"h2", hooks={"request": lambda flow: flow.kill()}) as book:
        client = H2Client(book)
        client.ask()
        assert len(client.of(h2.events.StreamReset)) == 1
        assert not client.of(h2.events.ResponseReceived)


def test_an_error_for_a_stream_that_is_gone_does_no_harm() -> None:
    with Playbook(wires={"client"}, client_alpn=b"h2") as book:
        client = H2Client(book)
        client.ask()
        client.h2.reset_stream(1)
        client.exchange()
        server = book.layer.connections[book.client]
        for command in server.handle_event(ResponseProtocolError(1, "late", ErrorCode.GENERIC_SERVER_ERROR)):
            book._note_command(command)
        assert not client.of(h2.events.ResponseReceived)


def test_a_response_head_without_end_is_an_invalid_response() -> None:
    with Playbook(AttemptPlan(max_attempts=1), wires={"upstream"}) as book:
        book.ask(headers=[("content-length", "2")])
        head = b"HTTP/1.1 200 OK\r\nx-pad: "
        book.upstream_writes(head + b"y" * (MAX_HEAD - len(head)))
        assert book.count("close") == 0
        book.upstream_writes(b"y")
        assert book.count("close") == 1
        assert book.response().status_code == 502
        failure = book.exchange().attempts[0].failure
        assert failure is not None
        assert failure.reason is Reason.BAD_HEAD


def test_a_response_head_of_exactly_the_bound_passes() -> None:
    with Playbook(wires={"upstream"}) as book:
        book.ask(headers=[("content-length", "2")])
        head, end = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-pad: ", b"\r\n\r\n"
        book.upstream_writes(head + b"y" * (MAX_HEAD - len(head) - len(end)) + end)
        assert book.response().status_code == 200


def test_an_upstream_that_speaks_first_is_closed() -> None:
    with Playbook(wires={"upstream"}) as book:
        book.ask(headers=[("content-length", "2")])
        book.upstream_writes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        assert book.ended()
        book.upstream_writes(b"y" * (MAX_HEAD + 1))
        assert book.count("close") == 1
