"""What a record says of itself: under which model it counts, whether it went well, how fast it was."""

from __future__ import annotations

import pytest

from codemie_core.usage.usage import UNKNOWN
from support.records import new_record


@pytest.mark.parametrize(
    ("served", "counted"), [("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"), ("", "claude-sonnet-4-5")]
)
def test_a_turn_counts_under_the_model_that_served_else_the_one_asked_for(served: str, counted: str) -> None:
    assert new_record(model_asked="claude-sonnet-4-5", model_served=served).model == counted


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"status": 399}, True),
        ({"status": 400}, False),
        ({"status": None}, False),
        ({"terminal": "truncated"}, False),
        ({"terminal": "client_cancelled"}, False),
        ({"error": "overloaded_error"}, False),
    ],
)
def test_only_a_whole_answer_without_an_error_is_a_good_one(changes: dict[str, object], ok: bool) -> None:
    assert new_record(**changes).ok is ok


@pytest.mark.parametrize(
    ("changes", "speed"),
    [
        ({}, 150.0),
        ({"usage": UNKNOWN}, None),
        ({"first_token_ms": None}, None),
        ({"last_token_ms": None}, None),
        ({"last_token_ms": 400.0}, None),
        ({"last_token_ms": 300.0}, None),
    ],
)
def test_speed_is_that_between_the_first_and_the_last_token(changes: dict[str, object], speed: float | None) -> None:
    assert new_record(**changes).tokens_per_second == speed
