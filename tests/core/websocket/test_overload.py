"""Overloads that are said in a message of a WebSocket."""

import json

import pytest

from codemie_core.websocket.overload import is_aside, says_overloaded


def message(**fields: object) -> bytes:
    return json.dumps({"type": "error", "error": {"type": "service_unavailable_error"}, **fields}).encode()


@pytest.mark.parametrize("status", [502, 503, 504, 529])
def test_an_error_with_a_status_to_try_again_on_is_an_overload(status: int) -> None:
    assert says_overloaded(message(status=status))
    assert says_overloaded(message(status_code=status))


@pytest.mark.parametrize(
    "other",
    [
        message(status=429),
        message(status=400),
        message(status="503"),
        message(),
        b'{"type": "response.output_text.delta", "delta": "\\"error\\" 503", "status": 503}',
        b'["error", 503]',
        b'{"type": "error", "status": 503',
        b'{"type": "error", "status": 503, "pad": "' + b"x" * 70_000 + b'"}',
        b"",
    ],
)
def test_nothing_else_is(other: bytes) -> None:
    assert not says_overloaded(other)


@pytest.mark.parametrize(
    ("kind", "aside"),
    [("codex.rate_limits", True), ("codex.response.metadata", True), ("response.created", False), ("", False)],
)
def test_what_is_said_before_an_answer_is_told_from_the_answer(kind: str, aside: bool) -> None:
    assert is_aside(json.dumps({"type": kind, "codex.": 1}).encode()) is aside
