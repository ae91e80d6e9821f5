"""Records become lines in CodeMie's format."""

import logging
import re

import pytest

from codemie_core.exchange import Terminal
from codemie_core.logs import log_line
from codemie_core.logs.body_sample import BodySample
from codemie_core.logs.log_line import LineFormat, is_session_sync
from codemie_core.logs.log_record import Answered, Asked, Encoded, Ended, Flowing, Record, Said
from codemie_core.policy import Failure, Reason
from support import logged

AT = 1769851800.125  # 2026-01-31T09:30:00.125Z
FIELDS = (("contentType", "application/json"), ("x-codemie-client", "codemie-claude"))


def rendered(record: Record, **kwargs: object) -> str:
    return LineFormat(**kwargs).render(record)  # type: ignore[arg-type]  # whatever the constructor takes


def test_a_request_is_a_line_and_its_arguments() -> None:
    exchange = logged.exchange()
    record = Asked(AT, exchange, "claude-opus-4", "/v1/messages?beta=true", FIELDS, 80, None)
    assert rendered(record, profile="work", provider="ai-run-sso") == (
        f"[2026-01-31T09:30:00.125Z] [DEBUG] [claude] [{exchange.session_id}] [work]"
        " [proxy-request] POST /v1/messages?beta=true {\n"
        f'  "requestId": "{exchange.request_id}",\n'
        f'  "sessionId": "{exchange.session_id}",\n'
        '  "agent": "claude",\n'
        '  "profile": "work",\n'
        '  "provider": "ai-run-sso",\n'
        '  "model": "claude-opus-4",\n'
        '  "contentType": "application/json",\n'
        '  "x-codemie-client": "codemie-claude",\n'
        '  "bodySize": 80\n'
        "}\n"
    )


def test_without_a_profile_its_place_is_left_out() -> None:
    assert "] [proxy-complete] /v1/messages {" in rendered(Ended(AT, logged.exchange(), 12.0, None))
    assert re.search(r"\[claude\] \[[\w-]{36}\] \[proxy-", rendered(Flowing(AT, logged.exchange(), 1, 1)))


def test_the_kinds_of_records_are_those_of_codemie() -> None:
    lines = LineFormat()
    exchange = logged.exchange()
    text = lines.render(Asked(AT, exchange, "m", "/v1/messages", FIELDS, 80, None))
    text += lines.render(Answered(AT, exchange, 200, FIELDS[:1]))
    text += lines.render(Flowing(AT, exchange, 10, 150))
    text += lines.render(Ended(AT, exchange, 34.6, None))
    found = logged.entries(text)
    assert [(entry.level, entry.kind, entry.words) for entry in found[:-1]] == [
        ("DEBUG", "proxy-request", "POST /v1/messages"),
        ("DEBUG", "proxy-response-headers", "/v1/messages"),
        ("DEBUG", "proxy-streaming", "/v1/messages"),
        ("DEBUG", "proxy-response", "200 /v1/messages (35ms)"),
        ("DEBUG", "proxy-complete", "/v1/messages"),
    ]
    assert {entry.request_id for entry in found} == {exchange.request_id}
    assert found[1].args["statusCode"] == 200
    assert (found[2].args["chunk"], found[2].args["bytes"]) == (10, 150)
    assert (found[3].args["bytesSent"], found[3].args["chunks"]) == (200, 3)


def test_the_access_line_says_it_all_in_pairs() -> None:
    lines = LineFormat()
    exchange = logged.exchange(Failure(Reason.RESET), None, client_key="alice")
    lines.render(Asked(AT, exchange, "claude-opus-4", "/v1/messages", (), 80, None))
    access = logged.entries(lines.render(Ended(AT, exchange, 34.6, None)))[-1]
    assert (access.kind, access.level) == ("proxy-access", "INFO")
    assert access.args == {
        "request_id": exchange.request_id,
        "client_key": "alice",
        "method": "POST",
        "host": "api.example.com",
        "path": "/v1/messages",
        "agent": "claude",
        "model": "claude-opus-4",
        "status": "200",
        "end": "complete",
        "attempts": "2",
        "first_byte_ms": "12",
        "total_ms": "35",
        "bytes_in": "80",
        "bytes_out": "200",
    }


def test_the_access_line_ends_with_the_account_that_served_it() -> None:
    exchange = logged.exchange()
    exchange.account = "spare"
    assert logged.entries(rendered(Ended(AT, exchange, 34.6, None)))[-1].args["account"] == "spare"


def test_what_nobody_knows_is_a_dash() -> None:
    unknown = logged.exchange(status=None, first_byte_ms=None, terminal=Terminal.CLIENT_CANCELLED, host="")
    args = logged.entries(rendered(Ended(AT, unknown, 1.0, None)))[-1].args
    assert [args[name] for name in ("client_key", "model", "host", "status", "first_byte_ms")] == ["-"] * 5


def test_of_a_host_that_is_not_ours_only_the_access_line_is_written_and_not_what_was_asked() -> None:
    foreign = logged.exchange(Failure(Reason.RESET), scoped=False, path="/private", terminal=Terminal.UPSTREAM_ERROR)
    (access,) = logged.entries(rendered(Ended(AT, foreign, 1.0, None)))
    assert (access.kind, access.args["path"], access.args["host"]) == ("proxy-access", "-", "api.example.com")


@pytest.mark.parametrize(
    "level, kinds",
    [
        (logging.DEBUG, ["proxy-response", "proxy-error", "proxy-access"]),
        (logging.INFO, ["proxy-error", "proxy-access"]),
        (logging.WARNING, ["proxy-error"]),
        (logging.ERROR, ["proxy-error"]),
    ],
)
def test_a_level_leaves_out_what_is_below_it(level: int, kinds: list[str]) -> None:
    lines = LineFormat(level)
    exchange = logged.exchange(Failure(Reason.RESET), terminal=Terminal.UPSTREAM_ERROR)
    found = logged.entries(lines.render(Asked(AT, exchange, "m", "/", (), 0, None)))
    found += logged.entries(lines.render(Ended(AT, exchange, 1.0, None)))
    assert [entry.kind for entry in found if entry.kind != "proxy-request"] == kinds
    assert (level == logging.DEBUG) == any(entry.kind == "proxy-request" for entry in found)


def test_a_warning_is_not_an_error() -> None:
    retried = Ended(AT, logged.exchange(Failure(Reason.RESET), None), 1.0, None)
    assert "[WARN]" in rendered(retried)
    assert rendered(retried, level=logging.ERROR) == ""


@pytest.mark.parametrize(
    "level, word", [(10, "DEBUG"), (21, "INFO"), (logging.WARNING, "WARN"), (logging.CRITICAL, "ERROR"), (1, "DEBUG")]
)
def test_words_of_the_system_are_redacted(level: int, word: str) -> None:
    record = Said(AT, level, "mitmproxy.proxy", "failed\nwith Bearer planted0123456789")
    expected = f"[2026-01-31T09:30:00.125Z] [{word}] [system] [mitmproxy.proxy] failed\\nwith Bearer [redacted]\n"
    assert LineFormat(0).render(record) == expected
    assert LineFormat(logging.CRITICAL + 1).render(record) == ""


def test_a_stranger_cannot_write_records_of_his_own() -> None:
    forged = "/x\n[2026-01-31T09:30:00.125Z] [INFO] [claude] [s] [proxy-access] request_id=forged"
    exchange = logged.exchange(path=forged, method="GET\n", host="h\n", client_key="k\n")
    lines = LineFormat()
    text = lines.render(Asked(AT, exchange, "m\n", forged, (("userAgent", "a\n}\n["),), 0, None))
    text += lines.render(Ended(AT, exchange, 1.0, None))
    assert {entry.request_id for entry in logged.entries(text)} == {exchange.request_id}


def test_bodies_are_shown_as_they_were_sampled() -> None:
    sample = BodySample(100)
    sample(b'{"text": "hello"}')
    asked = Asked(AT, logged.exchange(), "m", "/", (), 17, sample)
    assert logged.entries(rendered(asked))[0].args["body"] == '{"text": "hello"}'
    encoded = asked._replace(body=Encoded(b"no gzip", "gzip", 100))
    assert logged.entries(rendered(encoded))[0].args["body"] == "[omitted: 7 bytes that could not be decoded]"
    omitted = Ended(AT, logged.exchange(), 1.0, log_line.OMITTED)
    assert logged.entries(rendered(omitted))[0].args["body"] == "[omitted: session sync payload]"
    empty = Ended(AT, logged.exchange(), 1.0, BodySample(100))
    assert "body" not in logged.entries(rendered(empty))[0].args


@pytest.mark.parametrize(
    "path, sync",
    [
        ("/v1/metrics", True),
        ("/code-assistant-api/v1/metrics", True),
        ("/v1/conversations/7f/history", True),
        ("/v1/%6detrics", True),
        ("/v1//metrics/", True),
        ("/v1/messages", False),
        ("/v1/metrics-of-something", False),
    ],
)
def test_session_sync_is_told_by_its_path(path: str, sync: bool) -> None:
    assert is_session_sync(path) == sync


def test_models_of_exchanges_whose_end_was_dropped_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_line, "MOST_OPEN", 3)
    lines = LineFormat()
    open_ones = [logged.exchange() for _ in range(5)]
    for exchange in open_ones:
        lines.render(Asked(AT, exchange, "m", "/", (), 0, None))
    told = [logged.entries(lines.render(Ended(AT, one, 1.0, None)))[-1].args["model"] for one in open_ones]
    assert told == ["-", "-", "m", "m", "m"]
    assert not lines._models
