"""What /health counts."""

from __future__ import annotations

from codemie_core.agents import UNKNOWN
from codemie_core.errors import Api
from codemie_core.exchange import Exchange, Terminal
from codemie_core.policy import Failure, Reason
from codemie_core.tally import Tally


def ended(terminal: Terminal, *failures: Reason | None) -> Exchange:
    exchange = Exchange("id", Api.OPENAI, UNKNOWN, True, "POST", "host", "/v1/responses")
    for reason in failures:
        exchange.begin_attempt("host", 443).failure = Failure(reason) if reason else None
    exchange.end(terminal)
    return exchange


def test_nothing_has_ended_yet() -> None:
    assert Tally().shown(still_open=0) == {
        "exchanges": {"open": 0},
        "attempts": {"total": 0, "retries": 0, "failed": {}},
    }


def test_endings_attempts_and_reasons_are_counted() -> None:
    tally = Tally()
    tally.add(ended(Terminal.COMPLETE, Reason.RESET, Reason.STATUS, None))
    tally.add(ended(Terminal.UPSTREAM_ERROR, Reason.RESET))
    tally.add(ended(Terminal.ANSWERED_LOCALLY))
    assert tally.shown(still_open=2) == {
        "exchanges": {"open": 2, "complete": 1, "upstream_error": 1, "answered_locally": 1},
        "attempts": {"total": 4, "retries": 2, "failed": {"reset": 2, "status": 1}},
    }
