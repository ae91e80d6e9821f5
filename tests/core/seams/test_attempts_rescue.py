"""The attempt machine when it fails itself: the client is never left waiting."""

from __future__ import annotations

import json
import logging

import pytest

from codemie_core import policy
from codemie_core.exchange import Terminal
from codemie_core.gate import CommitGate
from codemie_core.seams.attempts import AttemptStream
from support.playbook import EVENT_STREAM, Playbook

EVENT = b"event: message_start\ndata: {}\n\n"


def broken(*_: object) -> None:
    raise ZeroDivisionError("planted")


def test_a_failure_before_the_client_has_anything_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CommitGate, "feed", broken)
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        assert book.response().status_code == 502
        assert json.loads(book.body())["error"]["type"] == "api_error"
        assert book.ended()
        assert book.exchange().terminal is Terminal.UPSTREAM_ERROR
        assert book.exchange().error == "proxy_failed"
        assert book.count("upstream RequestProtocolError CANCEL") == 1
        assert book.layer.streams == {}
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "ZeroDivisionError: planted at test_attempts_rescue.py" in record.getMessage()


def test_a_failure_in_the_decision_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "decide", broken)
    with Playbook() as book:
        book.ask()
        book.respond(503)
        assert book.response().status_code == 502
        assert book.ended()


def test_a_failure_at_the_end_of_a_stream_is_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptStream, "upstream_complete", broken)
    with Playbook() as book:
        book.ask()
        book.respond(200, EVENT_STREAM, EVENT)
        book.end()
        assert book.body() == EVENT
        assert not book.ended()
        assert book.exchange().terminal is Terminal.TRUNCATED
        assert book.layer.streams == {}
