from types import SimpleNamespace
from typing import Any

import pytest

from codemie_core.exchange import Terminal
from codemie_core.health_check import is_health_check


@pytest.mark.parametrize(
    "path, terminal, expected",
    [
        ("/health", Terminal.ANSWERED_LOCALLY, True),
        ("/healthz", Terminal.ANSWERED_LOCALLY, True),
        ("/health", Terminal.REFUSED, False),
        ("/health", Terminal.COMPLETE, False),
        ("/health", None, False),
        ("/v1/messages", Terminal.ANSWERED_LOCALLY, False),
    ],
)
def test_only_what_is_answered_here_is_one(path: str, terminal: Terminal | None, expected: bool) -> None:
    exchange: Any = SimpleNamespace(path=path, terminal=terminal)
    assert is_health_check(exchange) is expected


@pytest.mark.parametrize("terminal, expected", [(None, True), (Terminal.REFUSED, False)])
def test_an_answer_counts_before_the_exchange_knows_of_it(terminal: Terminal | None, expected: bool) -> None:
    exchange: Any = SimpleNamespace(path="/health", terminal=terminal)
    assert is_health_check(exchange, answered=True) is expected
