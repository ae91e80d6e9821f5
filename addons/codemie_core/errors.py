"""What can go wrong, and how it is told to whoever has to read it.

Exceptions, for the operator (one clear line each, naming the key and the fix):

    CodemieError
    +-- SettingsError           an option, variable or file holds something we cannot use
    +-- UnsupportedMitmproxy    this mitmproxy is not of the shape the seams were tested against

Problems, for the person in front of the agent: a `Problem` becomes JSON in the shape that the agent's own API
speaks (`error_body`), so that SDKs show its message instead of choking on an HTML page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from codemie_core.redact import redact_quoted, redact_text

# Claude Code sleeps up to 60 seconds on a Retry-After and gives up at once on 61.
LONGEST_RETRY_AFTER = 60


class CodemieError(Exception):
    """Anything the bundle raises on purpose."""


class SettingsError(CodemieError):
    """Bad configuration. The message is one line that names the key, the value's place and the fix.

    Where it quotes a value, a password or key that somebody has put there by mistake is taken out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact_quoted(message))


class UnsupportedMitmproxy(CodemieError):
    """The installed mitmproxy differs from what the seams were tested with; the message names both."""


class Api(StrEnum):
    """The error dialects we speak."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    GEMINI = "gemini"
    CODEMIE = "codemie"


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure as the agent shall see it.

    `code` is stable and lower_snake (upstream_unreachable, upstream_timeout, request_too_large, ...).
    `message` is prose for the person in front of the agent and says whether trying again helps.
    `retry_after` is in seconds.
    """

    status: int
    code: str
    message: str
    retry_after: int | None = None

    @property
    def capped_retry_after(self) -> int | None:
        """Seconds that every client is willing to wait, or None."""
        return None if self.retry_after is None else min(max(self.retry_after, 0), LONGEST_RETRY_AFTER)


# Paths are matched anywhere behind a slash, because gateways put prefixes (/code-assistant-api) before them.
_UNMISTAKABLE_PATHS: tuple[tuple[re.Pattern[str], Api], ...] = (
    (re.compile(r"/v1/(messages|complete)(/|$)|/anthropic/"), Api.ANTHROPIC),
    (re.compile(r"/((chat/)?completions|responses|embeddings|moderations)(/|$)|/backend-api/"), Api.OPENAI),
    (re.compile(r"/v1(alpha|beta)\d*/|:(generateContent|streamGenerateContent|countTokens)$"), Api.GEMINI),
)
_CODEMIE_PATH = re.compile(r"/v1/(metrics|conversations|llm_models|user|settings|admin|auth)(/|$)")
_MODELS_PATH = re.compile(r"/models(/|$)")
_API_OF_HOST: Mapping[str, Api] = {
    "api.anthropic.com": Api.ANTHROPIC,
    "api.openai.com": Api.OPENAI,
    "chatgpt.com": Api.OPENAI,
    "openrouter.ai": Api.OPENAI,
    "generativelanguage.googleapis.com": Api.GEMINI,
    "cloudcode-pa.googleapis.com": Api.GEMINI,
}


def _no_header(name: str) -> str | None:
    return None


def api_of(path: str, header: Callable[[str], str | None] = _no_header, host: str = "") -> Api:
    """The API a request speaks: by path, else by provider host, else by header hints, else CodeMie's own.

    `path` may carry a prefix and a query, `host` a port.
    """
    bare = path.partition("?")[0]
    for pattern, api in _UNMISTAKABLE_PATHS:
        if pattern.search(bare):
            return api
    if api_by_host := _API_OF_HOST.get(host.partition(":")[0].lower().rstrip(".")):
        return api_by_host
    if _CODEMIE_PATH.search(bare):
        return Api.CODEMIE
    if header("anthropic-version") is not None:
        return Api.ANTHROPIC
    if header("x-goog-api-key") is not None:
        return Api.GEMINI
    return Api.OPENAI if _MODELS_PATH.search(bare) else Api.CODEMIE


def error_body(api: Api, problem: Problem, request_id: str, now: datetime | None = None) -> bytes:
    """JSON that a client of `api` understands. Secrets in the message are redacted here, whoever wrote it."""
    if api is Api.CODEMIE:
        return _json(_codemie_body(problem, request_id, now or datetime.now(UTC)), indent=2)
    if api is Api.GEMINI:
        return _json(_gemini_body(problem, request_id))
    if api is Api.OPENAI:
        return _json(_openai_body(problem, request_id))
    return _json(_anthropic_body(problem, request_id))


def any_body(problem: Problem) -> bytes:
    """JSON that Anthropic and OpenAI clients can both read, for requests too malformed to have a path."""
    error = {
        "type": _anthropic_type(problem.status),
        "message": redact_text(problem.message),
        "param": None,
        "code": problem.code,
    }
    return _json({"type": "error", "error": error})


def error_headers(problem: Problem, request_id: str) -> list[tuple[str, str]]:
    """Headers that go with `error_body`."""
    headers = [("content-type", "application/json"), ("x-codemie-request-id", request_id)]
    if problem.capped_retry_after is not None:
        headers.append(("retry-after", str(problem.capped_retry_after)))
    elif problem.status in _FINAL or problem.code in _FINAL_CODES:
        # Claude Code would ask for over a minute, without a word, before it shows a 401.
        headers.append(("x-should-retry", "false"))
    return headers


def _json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def _traceable(problem: Problem, request_id: str) -> str:
    """The message with the request id in it: the SDKs of Anthropic and OpenAI print nothing else."""
    return f"{redact_text(problem.message)} (request {request_id})"


_FINAL = frozenset({400, 401, 402, 403, 404, 405, 407, 413, 421})
"""The same request would get the same answer."""
_FINAL_CODES = frozenset({"upstream_certificate_refused"})
"""So it would here, until somebody changes a setting."""

_ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _anthropic_type(status: int) -> str:
    return _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _anthropic_body(problem: Problem, request_id: str) -> dict[str, object]:
    error = {"type": _anthropic_type(problem.status), "message": _traceable(problem, request_id)}
    return {"type": "error", "error": error, "request_id": request_id}


_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


def _openai_body(problem: Problem, request_id: str) -> dict[str, object]:
    fallback = "server_error" if problem.status >= 500 else "invalid_request_error"
    error = {
        "message": _traceable(problem, request_id),
        "type": _OPENAI_TYPES.get(problem.status, fallback),
        "param": None,
        "code": problem.code,
    }
    return {"error": error, "request_id": request_id}


# https://cloud.google.com/apis/design/errors#handling_errors
_GEMINI_STATUSES: Mapping[int, str] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    504: "DEADLINE_EXCEEDED",
}


def _gemini_body(problem: Problem, request_id: str) -> dict[str, object]:
    fallback = "UNAVAILABLE" if problem.status >= 500 else "INVALID_ARGUMENT"
    details: list[dict[str, object]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": problem.code.upper(),
            "domain": "codemie-proxy",
            "metadata": {"request_id": request_id},
        }
    ]
    if problem.capped_retry_after is not None:
        # Gemini CLI ignores the Retry-After header and reads this instead.
        retry_info = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": retry_info, "retryDelay": f"{problem.capped_retry_after}s"})
    error = {
        "code": problem.status,
        "message": redact_text(problem.message),
        "status": _GEMINI_STATUSES.get(problem.status, fallback),
        "details": details,
    }
    return {"error": error}


def _codemie_type(problem: Problem) -> tuple[str, str]:
    """CodeMie's own class and code for this problem; ours in capitals where CodeMie has none."""
    if problem.status == 401:
        return "AuthenticationError", "AUTH_FAILED"
    if problem.status == 504:
        return "TimeoutError", "TIMEOUT"
    if problem.code == "upstream_error":
        return "UpstreamError", "UPSTREAM_ERROR"
    if problem.status == 502 and problem.code.startswith("upstream_"):
        return "NetworkError", "NETWORK_ERROR"
    return "ProxyError", "INTERNAL_ERROR" if problem.status == 500 else problem.code.upper()


def _codemie_body(problem: Problem, request_id: str, now: datetime) -> dict[str, object]:
    kind, code = _codemie_type(problem)
    error = {
        "type": kind,
        "code": code,
        "message": redact_text(problem.message),
        "statusCode": problem.status,
    }
    stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"error": error, "requestId": request_id, "timestamp": stamp}
