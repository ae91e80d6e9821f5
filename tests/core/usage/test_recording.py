"""The record of a turn: what the exchange knows and what the answer said, without a word of either."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codemie_core.exchange import Attempt, Exchange, Terminal
from codemie_core.policy import Failure, Reason
from codemie_core.usage.answer import Answer
from codemie_core.usage.asked import Asked
from codemie_core.usage.cost import Cost
from codemie_core.usage.record import Labels, Record
from codemie_core.usage.recording import LONGEST_ERROR, record_of
from codemie_core.usage.turn import Turn
from codemie_core.usage.usage import Usage
from support.turns import exchange_like, turn_like

ANSWER = Answer(
    model="claude-opus-4-6",
    stop_reason="end_turn",
    usage=Usage(input=10, output=40),
    events=9,
    first_token_ms=200.0,
    last_token_ms=1200.0,
    complete=True,
)


def recorded(turn: Turn, answer: Answer = ANSWER) -> Record:
    asked = Asked(model="claude-opus-4-6-latest", stream=True)
    labels = Labels("proj", "acme/app", "main", "/srv/app")
    return record_of(turn, answer, asked, provider="anthropic", cost=Cost(5), labels=labels, prompts=1)


def test_a_record_holds_what_the_exchange_and_the_answer_say() -> None:
    exchange = exchange_like(
        account="work", client_key="laptop", started_at=1_700_000_000.5, request_bytes=11, response_bytes=22
    )
    exchange.client_type = "codemie-claude"
    exchange.first_byte_ms = 150.0
    record = recorded(turn_like(exchange, ended_ms=1300.0))
    assert (record.id, record.started_ms, record.total_ms) == (exchange.request_id, 1_700_000_000_500, 1300.0)
    assert (record.model_asked, record.model_served, record.model) == (
        "claude-opus-4-6-latest", "claude-opus-4-6", "claude-opus-4-6",
    )  # fmt: skip
    assert (record.account, record.client_key, record.agent, record.client_type) == (
        "work", "laptop", "claude", "codemie-claude",
    )  # fmt: skip
    assert (record.request_bytes, record.response_bytes, record.first_byte_ms) == (11, 22, 150.0)
    assert record.labels.branch == "main"
    assert record.ok
    assert record.streamed
    assert record.tokens_per_second == pytest.approx(40.0)


def test_speed_is_unknown_without_two_moments_or_without_tokens() -> None:
    for answer in (
        replace(ANSWER, usage=Usage()),
        replace(ANSWER, first_token_ms=None),
        replace(ANSWER, last_token_ms=200.0),
    ):
        assert recorded(turn_like(), answer).tokens_per_second is None


def two_attempts() -> Exchange:
    exchange = exchange_like(account="second")
    exchange.attempts = [
        Attempt(1, "api.anthropic.com", 443, account="first", status=429, ended_ms=80.0,
                failure=Failure(Reason.STATUS, status=429)),
        Attempt(2, "eu.example.com", 443, account="second", status=200, head_ms=30.0, ended_ms=900.0),
    ]  # fmt: skip
    return exchange


def test_attempts_are_told_one_by_one_and_the_last_host_served() -> None:
    record = recorded(turn_like(two_attempts()))
    assert record.host == "eu.example.com"
    assert [(a.number, a.account, a.status, a.reason) for a in record.attempts] == [
        (1, "first", 429, str(Reason.STATUS)),
        (2, "second", 200, ""),
    ]


@pytest.mark.parametrize(
    ("terminal", "error", "answer", "ok", "told"),
    [
        (Terminal.COMPLETE, None, ANSWER, True, ("complete", "")),
        (Terminal.COMPLETE, None, replace(ANSWER, error="overloaded_error"), False, ("complete", "overloaded_error")),
        (Terminal.CLIENT_CANCELLED, "gone", replace(ANSWER, complete=False), False, ("client_cancelled", "gone")),
        (Terminal.UPSTREAM_ERROR, "reset", Answer(), False, ("upstream_error", "reset")),
    ],
)
def test_how_it_ended(terminal: Terminal, error: str | None, answer: Answer, ok: bool, told: tuple[str, str]) -> None:
    record = recorded(turn_like(exchange_like(terminal=terminal, error=error)), answer)
    assert ((record.terminal, record.error), record.ok) == (told, ok)


def test_an_error_is_kept_in_short() -> None:
    exchange = exchange_like(terminal=Terminal.UPSTREAM_ERROR, error="x" * 10_000)
    assert len(recorded(turn_like(exchange)).error) == LONGEST_ERROR


@pytest.mark.parametrize(
    ("open_still", "answer", "terminal"),
    [
        (True, ANSWER, "complete"),
        (True, replace(ANSWER, error="server_error"), "upstream_error"),
        (True, replace(ANSWER, complete=False), "truncated"),
        (None, replace(ANSWER, complete=False), "truncated"),
        (True, replace(ANSWER, complete=False, error="rate_limit"), "upstream_error"),
        (False, replace(ANSWER, complete=False), "client_cancelled"),
    ],
)
def test_a_turn_of_a_websocket_has_its_own_times_and_ending(
    open_still: bool | None, answer: Answer, terminal: str
) -> None:
    exchange = exchange_like(
        terminal={True: None, False: Terminal.CLIENT_CANCELLED, None: Terminal.COMPLETE}[open_still],
        status=101,
        started_at=1_700_000_000.0,
    )
    exchange.response_bytes, exchange.first_byte_ms = 999, 5.0
    turn = turn_like(exchange, request=b"12345", number=2, began_ms=150.0, ended_ms=1350.0)
    record = recorded(turn, answer)
    assert record.id == f"{exchange.request_id}.2"
    assert (record.started_ms, record.total_ms) == (1_700_000_000_150, 1200.0)
    assert (record.first_token_ms, record.last_token_ms) == (50.0, 1050.0)
    assert (record.request_bytes, record.response_bytes, record.first_byte_ms) == (5, 0, None)
    assert record.terminal == terminal
    assert record.attempts == ()


def test_names_that_hold_a_secret_are_kept_without_it() -> None:
    key = "sk-ant-api03-" + "planted" * 6
    exchange = exchange_like(path=f"/v1/{key}/messages", conversation_id=f"c-{key}", error=f"no {key}")
    exchange.terminal = Terminal.UPSTREAM_ERROR
    answer = replace(ANSWER, model=f"m-{key}", stop_reason=key)
    asked = Asked(model=f"m-{key}")
    record = record_of(turn_like(exchange), answer, asked, provider="", cost=Cost(), labels=Labels())
    assert "planted" not in repr(record)
    assert record.path.startswith("/v1/")
