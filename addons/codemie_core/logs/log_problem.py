"""What went wrong in an exchange, in CodeMie's words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from codemie_core.logs.log_text import free, pair, shown, shown_url
from codemie_core.policy import Reason

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

FINE = frozenset({"complete", "answered_locally", "client_cancelled"})
"""Terminal states that nobody has to look into."""
MILD = frozenset({"refused", "proxy_stopped"})
"""It did not go out, and that was meant."""

_NAMES = {
    **dict.fromkeys((Reason.CONNECT_TIMEOUT, Reason.FIRST_BYTE_TIMEOUT, Reason.IDLE_TIMEOUT), "TimeoutError"),
    **dict.fromkeys(
        (
            Reason.CONNECT_FAILED,
            Reason.DNS_FAILED,
            Reason.TLS_FAILED,
            Reason.CERTIFICATE_REFUSED,
            Reason.PROXY_REFUSED,
            Reason.RESET,
        ),
        "NetworkError",
    ),
}
"""CodeMie's names; everything else at an upstream is an UpstreamError."""


def problem_level(exchange: Exchange) -> int | None:
    """How serious it is that this exchange ended as it did; None when nothing went wrong on the way either."""
    if exchange.terminal not in FINE:
        return logging.WARNING if exchange.terminal in MILD else logging.ERROR
    return logging.WARNING if any(attempt.failure for attempt in exchange.attempts) else None


def problem(exchange: Exchange) -> tuple[str, list[str]]:
    """The message and the fields of the line that says what went wrong, with every attempt."""
    failure = next((attempt.failure for attempt in reversed(exchange.attempts) if attempt.failure), None)
    if failure is not None:
        name = _NAMES.get(failure.reason, "UpstreamError")
        words = f"{failure.reason}: {failure.detail}" if failure.detail else str(failure.reason)
    else:
        name = "AuthenticationError" if exchange.status in (401, 403, 407) else "ProxyError"
        words = exchange.error or str(exchange.terminal)
    attempts = [
        {
            "number": attempt.number,
            "host": shown(attempt.host),
            "port": attempt.port,
            "status": attempt.status,
            "reason": attempt.failure and str(attempt.failure.reason),
            "detail": attempt.failure and free(attempt.failure.detail),
            "ms": attempt.ended_ms and round(attempt.ended_ms),
        }
        for attempt in exchange.attempts
    ]
    told: Mapping[str, object] = {
        "method": shown(exchange.method),
        "url": shown_url(exchange.path),
        "end": str(exchange.terminal),
        "attempts": attempts,
    }
    return f"[proxy-error] {name}: {free(words)}", [pair(name, value) for name, value in told.items()]
