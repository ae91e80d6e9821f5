"""What the live view is told of a request, and what never gets into it."""

import dataclasses
import json

from codemie_core.admin import live_events
from codemie_core.admin.live_events import LiveEvent
from codemie_core.admin.request_rows import RequestSummary
from codemie_core.exchange import Terminal
from codemie_core.usage.usage import Usage
from support.records import new_record
from support.turns import exchange_like

LISTED = {field.alias for field in RequestSummary.model_fields.values()}
OWN = {"firstByteMs", "bytes", "counted"}
"""What only this view tells."""


def test_a_request_under_way_is_told_flat() -> None:
    exchange = exchange_like(terminal=None, status=None, account="main", started_at=1_800_000_000.5)
    told = live_events.running("start", exchange, "claude-opus-4-5").as_json()
    assert told.pop("elapsedMs") >= 0
    assert told == {
        "type": "start",
        "id": exchange.request_id,
        "timestamp": 1_800_000_000_500,
        "method": "POST",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "model": "claude-opus-4-5",
        "accountUsed": "main",
        "agentUsed": "claude",
        "apiKeyName": None,
        "conversationId": "conversation-1",
        "sessionId": exchange.session_id,
        "statusCode": None,
        "failoverAttempts": 0,
        "firstByteMs": None,
        "chunks": 0,
        "bytes": 0,
    }


def test_progress_tells_how_far_it_has_come() -> None:
    exchange = exchange_like(terminal=None, first_byte_ms=12.4, chunks=3, response_bytes=300)
    exchange.begin_attempt("one.example", 443)
    exchange.begin_attempt("two.example", 443)
    told = live_events.running("progress", exchange, "").as_json()
    assert (told["type"], told["firstByteMs"], told["chunks"], told["bytes"]) == ("progress", 12, 3, 300)
    assert (told["failoverAttempts"], told["host"], told["model"]) == (1, "two.example", None)


def test_a_counted_turn_has_the_members_of_a_request_in_the_list_of_requests() -> None:
    event = live_events.recorded(new_record(id="turn", client_key="anna"))
    told = event.as_json()
    assert told.keys() == {"type", "payload"}
    summary = told["payload"]
    assert summary.keys() == LISTED | OWN
    RequestSummary.model_validate(summary)
    assert summary["timestamp"] == "2027-01-15T08:00:00.000+00:00"
    assert (summary["promptTokens"], summary["completionTokens"], summary["totalTokens"]) == (30512, 300, 30812)
    assert (summary["costUsd"], summary["success"], summary["counted"]) == (0.015411, True, True)
    assert (summary["tokensPerSecond"], summary["responseTimeMs"]) == (150.0, 2500)
    json.dumps(told)


def test_what_is_unknown_is_left_out_and_no_zero() -> None:
    record = dataclasses.replace(new_record(), usage=Usage(output=5), first_token_ms=None)
    summary = live_events.recorded(record).as_json()["payload"]
    assert summary["outputTokens"] == 5
    assert not {"inputTokens", "promptTokens", "tokensPerSecond"} & summary.keys()


def test_the_end_is_told_before_anybody_has_counted() -> None:
    good = live_events.ended(exchange_like(account="main"), "claude-x").as_json()["payload"]
    assert (good["success"], good["counted"], good["model"], good["terminal"]) == (True, False, "claude-x", "complete")
    cut = live_events.ended(exchange_like(terminal=Terminal.TRUNCATED, error="reset"), "").as_json()["payload"]
    assert (cut["success"], cut["errorMessage"], "model" in cut) == (False, "reset", False)
    refused = live_events.ended(exchange_like(status=429), "").request
    assert not refused.ok


def test_what_strangers_wrote_is_redacted() -> None:
    secret = "sk-ant-api03-" + "Planted0" * 5
    exchange = exchange_like(path=f"/v1/{secret}", conversation_id=secret, error=f"with {secret}")
    for event in (live_events.running("start", exchange, secret), live_events.ended(exchange, secret)):
        assert secret not in json.dumps(event.as_json())
        assert secret not in repr(event)


def test_events_are_told_apart_by_what_they_are_not_by_what_they_say() -> None:
    request = live_events.recorded(new_record(id="x")).request
    assert LiveEvent("summary", request) != LiveEvent("summary", request)
