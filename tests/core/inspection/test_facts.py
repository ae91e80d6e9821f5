"""What a flow keeps of its exchange, as plain values that survive a file, and the lines made of them."""

from dataclasses import replace

import pytest

from codemie_core.agents import CLAUDE
from codemie_core.errors import Api
from codemie_core.exchange import Attempt, Exchange, Terminal
from codemie_core.inspection.facts import (
    Facts,
    answer_rows,
    attempt_words,
    comment_of,
    facts_of,
    facts_rows,
    note_exchange,
    note_record,
    usage_words,
)
from codemie_core.policy import Failure, Reason
from codemie_core.usage.answer import Answer
from codemie_core.usage.cost import Cost
from codemie_core.usage.usage import UNKNOWN, Usage
from support.records import new_record

SESSION = "49122596-5ef2-50ce-a150-00c5aba7fc71"


def ended(*attempts: Attempt, terminal: Terminal = Terminal.COMPLETE, error: str | None = None) -> Exchange:
    exchange = Exchange("r1", Api.ANTHROPIC, CLAUDE, True, "POST", "api.anthropic.com", "/v1/messages")
    exchange.attempts.extend(attempts)
    exchange.end(terminal, error)
    return exchange


def test_the_comment_tells_who_by_which_account_how_often_and_what_it_took() -> None:
    metadata: dict[str, object] = {
        "codemie.agent": "claude",
        "codemie.session_id": SESSION,
        "codemie.account": "main",
        "codemie.account_why": "it is first",
    }
    limited = Attempt(1, "api.anthropic.com", 443, status=429, account="spare", failure=Failure(Reason.STATUS))
    note_exchange(metadata, ended(limited, Attempt(2, "api.anthropic.com", 443, status=200, account="main")))
    assert comment_of(facts_of(metadata)) == (
        "claude session 49122596 | account main | 2 attempts (spare: 429 status; main: 200)"
    )
    usage = Usage(input=12, cache_read=1500, output=40)
    note_record(metadata, new_record(usage=usage, cost=Cost(4_000_000), stop_reason="end_turn", model_served="opus"))
    assert comment_of(facts_of(metadata)) == (
        "claude session 49122596 | account main | 2 attempts (spare: 429 status; main: 200)"
        " | opus | 1,512 read, 40 written | $0.0040 | end_turn"
    )
    assert dict(facts_rows(facts_of(metadata)))["account"] == "main: it is first"
    assert dict(facts_rows(facts_of(metadata)))["attempt 1"] == "spare: 429 status"


@pytest.mark.parametrize(
    "terminal, error, words",
    [
        (Terminal.COMPLETE, None, ""),
        (Terminal.TRUNCATED, "idle_timeout", "truncated | idle_timeout"),
        (Terminal.CLIENT_CANCELLED, None, "client_cancelled"),
        (Terminal.UPSTREAM_ERROR, "upstream_error", "upstream_error"),
    ],
)
def test_the_comment_tells_an_ending_that_was_not_good(terminal: Terminal, error: str | None, words: str) -> None:
    metadata: dict[str, object] = {}
    note_exchange(metadata, ended(terminal=terminal, error=error))
    assert comment_of(facts_of(metadata)) == words


def test_turns_of_a_websocket_add_up_and_an_unknown_cost_stays_unknown() -> None:
    metadata: dict[str, object] = {}
    known = new_record(usage=Usage(input=10, output=1), cost=Cost(10**9), model_served="m", stop_reason="")
    note_record(metadata, known)
    note_record(metadata, replace(known, usage=UNKNOWN, cost=Cost()))
    note_record(metadata, known)
    assert comment_of(facts_of(metadata)) == "3 turns | m | 20 read, 2 written | $2.00 + ?"


def test_bodies_that_are_gone_are_told() -> None:
    assert comment_of(Facts(agent="codex"), bodies_let_go=True) == "codex | bodies let go to save memory"
    assert comment_of(Facts()) == ""


@pytest.mark.parametrize("value", [None, True, "x", 1, 1.5, [1, "a"], {"a": 1}, b"x"])
def test_a_file_of_flows_may_hold_anything(value: object) -> None:
    names = ["agent", "session_id", "turns", "nano_usd", "attempts", "total_ms", "unpriced", "error"]
    facts = facts_of({f"codemie.{name}": value for name in names})
    comment_of(facts)
    list(facts_rows(facts))
    assert facts.attempts in ((), ("a",))
    assert type(facts.turns) is int


def test_what_is_noted_is_plain() -> None:
    metadata: dict[str, object] = {}
    note_exchange(metadata, ended(Attempt(1, "a", 1)))
    note_record(metadata, new_record())
    plain = (str, int, float, bool, type(None))
    for value in metadata.values():
        assert isinstance(value, plain) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
    assert all(name.startswith("codemie.") for name in metadata)


def test_an_attempt_is_told_by_its_account_or_its_host() -> None:
    assert attempt_words(Attempt(1, "api.test", 443)) == "api.test: no answer"
    assert attempt_words(Attempt(1, "api.test", 443, status=200, account="main")) == "main: 200"
    reset = Attempt(1, "api.test", 443, failure=Failure(Reason.CONNECT_FAILED, "refused"))
    assert attempt_words(reset).endswith(" refused")


def rows(answer: Answer, asked: str = "", nano_usd: int | None = None) -> dict[str, str]:
    return dict(answer_rows(answer, asked, nano_usd))


def test_an_answer_says_what_it_is() -> None:
    usage = Usage(input=12, cache_read=1500, cache_write=3, output=40, reasoning=8, server_tools={"web_search": 2})
    answer = Answer(model="opus", stop_reason="end_turn", complete=True, usage=usage)
    assert rows(answer, "opus", 4_000_000) == {
        "model": "opus",
        "stopped": "end_turn",
        "tokens": "1,515 read (1,500 from cache, 3 to cache), 40 written (8 reasoning), 2 web_search",
        "cost": "$0.0040",
    }
    assert rows(answer, "haiku")["model"] == "opus (asked for haiku)"
    assert rows(answer)["cost"] == "?"


def test_an_answer_that_is_not_whole_says_so() -> None:
    assert rows(Answer())["stopped"] == "not said; its end is missing"
    assert rows(Answer(error="overloaded_error"))["stopped"] == "not said, error overloaded_error"
    assert rows(Answer(stop_reason="refusal", refusal=True, complete=True))["stopped"] == "refusal, a refusal"
    assert rows(Answer())["cost"] == ""
    assert usage_words(UNKNOWN) == "not said"
