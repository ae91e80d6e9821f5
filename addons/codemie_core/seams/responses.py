"""What the attempt machine needs to know about responses, and the ones it makes itself. No state, no I/O."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from mitmproxy import http

from codemie_core.errors import Api, Problem, error_body, error_headers
from codemie_core.exchange import Exchange
from codemie_core.policy import Failure, ReadyResponse, Reason

LONGEST_RETRY_AFTER = 366 * 86400.0
"""Seconds. Anything beyond means the same: not now."""


def is_event_stream(response: http.Response) -> bool:
    """Server-sent events by content type, or by its absence: the ChatGPT backend streams without naming the type."""
    kind: str = response.headers.get("content-type", "").lower()
    return kind.startswith("text/event-stream") if kind else "content-length" not in response.headers


def takes_keepalive(response: http.Response) -> bool:
    """May bytes of ours go between its events? Not into a compressed stream, nor into one of declared length."""
    headers = response.headers
    kind: str = headers.get("content-type", "").lower()
    encoded: bool = headers.get("content-encoding", "identity") != "identity"
    return kind.startswith("text/event-stream") and not encoded and "content-length" not in headers


def keepalive_frame(api: Api) -> bytes:
    """A frame that every client of this API ignores: Anthropic's own ping, elsewhere a comment."""
    return b'event: ping\ndata: {"type": "ping"}\n\n' if api is Api.ANTHROPIC else b": keep-alive\n\n"


def needs_json(request: http.Request, response: http.Response, end_stream: bool) -> bool:
    """A server error whose body is HTML, or empty as its head already says."""
    if response.status_code < 500 or request.method == "HEAD":
        return False
    if end_stream or response.headers.get("content-length") == "0":
        return True
    kind: str = response.headers.get("content-type", "").lower()
    return kind.startswith(("text/html", "application/xhtml"))


def may_be_empty(request: http.Request, response: http.Response) -> bool:
    """A server error of undeclared length: only its first byte or its end will tell."""
    return response.status_code >= 500 and request.method != "HEAD" and "content-length" not in response.headers


def retry_after(headers: http.Headers) -> float | None:
    """Seconds, from the delta or the date form (RFC 9110, 10.2.3); None when absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value) if value.isascii() and value.isdigit() else _seconds_until(value)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def why_broken(message: str) -> Failure:
    """Sort mitmproxy's text for a response that broke off before the client had any of it.

    The text is not passed on: for garbage it quotes the upstream's bytes.
    """
    lowered = message.lower()
    if lowered.startswith(("cannot parse http response", "unexpected server response", "response head")):
        return Failure(Reason.BAD_HEAD)
    return Failure(Reason.RESET)


def ready_response(answer: Problem | ReadyResponse, exchange: Exchange) -> http.Response:
    """Our answer as a response: a problem in the shape of the client's API, a ready one as it is."""
    if isinstance(answer, ReadyResponse):
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        return http.Response.make(answer.status, answer.body, headers)
    fields = [(name.encode(), value.encode()) for name, value in error_headers(answer, exchange.request_id)]
    return http.Response.make(answer.status, error_body(exchange.api, answer, exchange.request_id), fields)
