"""What counts as a problem, and how it is told."""

import json
import logging

import pytest

from codemie_core.exchange import Terminal
from codemie_core.logs.log_problem import problem, problem_level
from codemie_core.policy import Failure, Reason
from support import logged

RESET = Failure(Reason.RESET, "Connection reset by peer")
BUSY = Failure(Reason.STATUS, status=503)


@pytest.mark.parametrize(
    "failures, terminal, level",
    [
        ((None,), Terminal.COMPLETE, None),
        ((None,), Terminal.ANSWERED_LOCALLY, None),
        ((None,), Terminal.CLIENT_CANCELLED, None),
        ((RESET, None), Terminal.COMPLETE, logging.WARNING),
        ((RESET, None), Terminal.CLIENT_CANCELLED, logging.WARNING),
        ((None,), Terminal.REFUSED, logging.WARNING),
        ((None,), Terminal.PROXY_STOPPED, logging.WARNING),
        ((None,), Terminal.TRUNCATED, logging.ERROR),
        ((BUSY,), Terminal.UPSTREAM_ERROR, logging.ERROR),
    ],
)
def test_an_end_is_as_serious_as_it_is(
    failures: tuple[Failure | None, ...], terminal: Terminal, level: int | None
) -> None:
    assert problem_level(logged.exchange(*failures, terminal=terminal)) == level


@pytest.mark.parametrize(
    "failures, changes, message",
    [
        ((RESET, None), {}, "NetworkError: reset: Connection reset by peer"),
        ((RESET, BUSY), {"terminal": Terminal.UPSTREAM_ERROR}, "UpstreamError: status"),
        ((Failure(Reason.IDLE_TIMEOUT),), {"terminal": Terminal.TRUNCATED}, "TimeoutError: idle_timeout"),
        ((None,), {"terminal": Terminal.REFUSED, "status": 401, "error": "no_key"}, "AuthenticationError: no_key"),
        ((None,), {"terminal": Terminal.PROXY_STOPPED}, "ProxyError: proxy_stopped"),
    ],
)
def test_a_problem_has_the_name_codemie_gives_it(
    failures: tuple[Failure | None, ...], changes: dict[str, object], message: str
) -> None:
    assert problem(logged.exchange(*failures, **changes))[0] == f"[proxy-error] {message}"


def test_every_attempt_is_told_without_a_secret() -> None:
    failed = Failure(Reason.REJECTED, "answered\nwith sk-ant-planted0123456789")
    message, fields = problem(logged.exchange(failed, BUSY, terminal=Terminal.UPSTREAM_ERROR))
    told = json.loads("{" + ",".join(fields) + "}")
    assert message == "[proxy-error] UpstreamError: status"
    assert told == {
        "method": "POST",
        "url": "/v1/messages",
        "end": "upstream_error",
        "attempts": [
            {
                "number": 1,
                "host": "api.example.com",
                "port": 443,
                "status": None,
                "reason": "rejected",
                "detail": "answered\\nwith [redacted]",
                "ms": 12,
            },
            {
                "number": 2,
                "host": "api.example.com",
                "port": 443,
                "status": 503,
                "reason": "status",
                "detail": "",
                "ms": 12,
            },
        ],
    }
