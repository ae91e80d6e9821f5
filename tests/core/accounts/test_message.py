"""Errors that come as messages of a WebSocket."""

import json
from typing import Any

import pytest

from codemie_core.accounts.message import LimitedModels, judge_message, limits_said
from codemie_core.accounts.verdicts import LIMITED, NO_CREDITS, OVERLOAD, REFUSED, Scope

NOW = 1_800_000_000.0
USED_UP = {"type": "usage_limit_reached", "message": "no", "resets_at": NOW + 500}
CODEX = {
    "x-codex-primary-used-percent": "100",
    "x-codex-primary-window-minutes": 300,
    "x-codex-primary-reset-after-seconds": "700",
    "x-odd": None,
    "ü☃": "x",
}


def wrapped(status: Any, error: Any, key: str = "status", **more: Any) -> dict[str, Any]:
    return {"type": "error", key: status, "error": error, **more}


@pytest.mark.parametrize(
    "said, reason, until",
    [
        (wrapped(429, USED_UP), LIMITED, NOW + 500),
        (wrapped(429, USED_UP, "status_code"), LIMITED, NOW + 500),
        (wrapped(429, {"type": "usage_limit_reached"}, headers=CODEX), LIMITED, NOW + 700),
        (wrapped(429, {"type": "usage_limit_reached"}, headers=["odd"]), LIMITED, None),
        (wrapped(401, {"code": "invalid_api_key"}), REFUSED, None),
        (wrapped(402, {"type": "usage_not_included"}), NO_CREDITS, None),
        (wrapped(None, {"code": "rate_limit_exceeded"}), LIMITED, None),
        ({"type": "error", "error": {"type": "overloaded_error"}}, OVERLOAD, NOW + 10),
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}}, LIMITED, None),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_an_error_counts_as_its_status_or_its_kind_would(
    said: dict[str, Any], reason: str, until: float | None, indent: int | None
) -> None:
    verdict = judge_message(json.dumps(said, indent=indent).encode(), NOW)
    assert verdict is not None
    assert (verdict.reason, verdict.until) == (reason, until)
    assert verdict.scope is (Scope.MODEL if reason == NO_CREDITS else Scope.ACCOUNT)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b'"error"',
        b'{"type": "error"',
        b'["error"]',
        json.dumps({"type": "response.completed", "response": {"error": None}}).encode(),
        json.dumps({"type": "response.output_text.delta", "delta": '"error"'}).encode(),
        json.dumps({"type": "response.failed", "response": {"error": {"code": "context_length_exceeded"}}}).encode(),
        json.dumps(wrapped(400, {"type": "invalid_request_error"})).encode(),
        json.dumps(wrapped(403, {"type": "permission_error"})).encode(),
        json.dumps(wrapped(503, {"type": "server_error"})).encode(),
        json.dumps({"type": "x", "text": "x" * 300} | wrapped(429, USED_UP)).encode()[::-1],
        b'{"type": "response.output_text.delta", "delta": "'
        + b"x" * 300
        + b'", "error": {"type": "overloaded_error"}}',
        json.dumps(wrapped(429, USED_UP, text="x" * 70_000)).encode(),
        b"[" * 60_000 + b'"error"',
        b'{"error":' * 7_000,
    ],
)
def test_all_else_says_nothing_against_the_account(message: bytes) -> None:
    assert judge_message(message, NOW) is None


def test_of_many_conversations_the_newest_models_are_known() -> None:
    models = LimitedModels()
    for number in range(3000):
        models.note(f"c{number}", f"m{number}")
        models.note("busy", str(number))
        models.note("", "nobody's")
        models.note("silent", "")
    assert [models.of(one) for one in ("c0", "c2999", "busy", "", "silent")] == ["", "m2999", "2999", "", ""]


WINDOWS = {
    "primary": {"used_percent": 41.5, "window_minutes": 300, "reset_at": NOW + 500},
    "secondary": {"used_percent": 7, "window_minutes": 10_080, "reset_after_seconds": 9_000},
}


def test_the_windows_that_codex_is_told_of_are_read_as_in_a_head() -> None:
    limits = limits_said(json.dumps({"type": "codex.rate_limits", "rate_limits": WINDOWS}).encode(), NOW)
    assert limits is not None
    assert [(one.name, one.utilization, one.resets_at) for one in limits.windows] == [
        ("five_hour", 0.415, NOW + 500),
        ("seven_day", 0.07, NOW + 9_000),
    ]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b'{"type":"codex.rate_limits"',
        b'{"type":"codex.rate_limits","rate_limits":null}',
        b'{"type":"codex.rate_limits","rate_limits":{"primary":null,"secondary":[1]}}',
        b'{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":"many","x":{}}}}',
        b'{"type":"response.created","about":"codex.rate_limits","rate_limits":{"primary":{"used_percent":1}}}',
        json.dumps({"type": "codex.rate_limits", "rate_limits": WINDOWS, "pad": "x" * 70_000}).encode(),
    ],
    ids=range(7),
)
def test_anything_else_says_nothing_of_windows(message: bytes) -> None:
    assert limits_said(message, NOW) is None
