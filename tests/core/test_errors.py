import json
from datetime import UTC, datetime

import pytest

from codemie_core.errors import (
    Api,
    CodemieError,
    Problem,
    SettingsError,
    UnsupportedMitmproxy,
    any_body,
    api_of,
    error_body,
    error_headers,
)
from codemie_core.policy import Failure, Reason, problem_of

NOW = datetime(2026, 8, 21, 13, 14, 25, tzinfo=UTC)
PROBLEM = Problem(502, "upstream_unreachable", "The model API cannot be reached. Try again in a minute.", 5)


def body(api: Api, problem: Problem) -> dict:
    return json.loads(error_body(api, problem, "req-1", NOW))


@pytest.mark.parametrize(
    "path, api",
    [
        ("/v1/messages", Api.ANTHROPIC),
        ("/v1/messages?beta=true", Api.ANTHROPIC),
        ("/v1/messages/count_tokens", Api.ANTHROPIC),
        ("/v1/complete", Api.ANTHROPIC),
        ("/anthropic/v1/models", Api.ANTHROPIC),
        ("/v1/chat/completions", Api.OPENAI),
        ("/chat/completions", Api.OPENAI),
        ("/v1/responses", Api.OPENAI),
        ("/responses", Api.OPENAI),
        ("/v1/responses/resp_1/cancel", Api.OPENAI),
        ("/v1/completions", Api.OPENAI),
        ("/v1/embeddings", Api.OPENAI),
        ("/backend-api/codex/models", Api.OPENAI),
        ("/openai/deployments/x/chat/completions?api-version=1", Api.OPENAI),
        ("/v1beta/models/gemini-pro:generateContent", Api.GEMINI),
        ("/v1/models/gemini-pro:streamGenerateContent?alt=sse", Api.GEMINI),
        ("/v1internal:streamGenerateContent", Api.GEMINI),
        ("/v1/models/gemini-pro:countTokens", Api.GEMINI),
        ("/v1/models", Api.OPENAI),
        ("/v1/models/gpt-x", Api.OPENAI),
        ("/v1/metrics", Api.CODEMIE),
        ("/v1/conversations/42/history", Api.CODEMIE),
        ("/v1/llm_models?include_all=true", Api.CODEMIE),
        ("/v1/user", Api.CODEMIE),
        ("/v1/settings/user", Api.CODEMIE),
        ("/v1/messagesque", Api.CODEMIE),
        ("/health", Api.CODEMIE),
        ("/", Api.CODEMIE),
        ("", Api.CODEMIE),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/code-assistant-api"])
def test_the_path_tells_the_api_also_behind_a_gateway_prefix(prefix: str, path: str, api: Api) -> None:
    assert api_of(prefix + path) is api


@pytest.mark.parametrize(
    "path, headers, host, api",
    [
        ("/v1/models", {"anthropic-version": "2023-06-01"}, "", Api.ANTHROPIC),
        ("/v1/models", {"x-goog-api-key": "k"}, "", Api.GEMINI),
        ("/", {"anthropic-version": "2023-06-01"}, "", Api.ANTHROPIC),
        ("/", {}, "api.anthropic.com", Api.ANTHROPIC),
        ("/v1/models", {}, "API.Anthropic.com.:443", Api.ANTHROPIC),
        ("/v1/conversations", {}, "api.openai.com", Api.OPENAI),
        ("/ps/mcp", {}, "chatgpt.com:443", Api.OPENAI),
        ("/upload", {}, "generativelanguage.googleapis.com", Api.GEMINI),
        ("/unknown", {}, "codemie.example.com", Api.CODEMIE),
        ("/v1/chat/completions", {}, "api.anthropic.com", Api.OPENAI),
    ],
)
def test_headers_and_host_decide_where_the_path_is_ambiguous(
    path: str, headers: dict[str, str], host: str, api: Api
) -> None:
    assert api_of(path, headers.get, host) is api


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_errors_have_the_type_that_goes_with_the_status(status: int, kind: str) -> None:
    assert body(Api.ANTHROPIC, Problem(status, "some_code", "Sorry.")) == {
        "type": "error",
        "error": {"type": kind, "message": "Sorry. (request req-1)"},
        "request_id": "req-1",
    }


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (503, "server_error"),
    ],
)
def test_openai_errors_have_type_param_and_code(status: int, kind: str) -> None:
    assert body(Api.OPENAI, Problem(status, "some_code", "Sorry.")) == {
        "error": {"message": "Sorry. (request req-1)", "type": kind, "param": None, "code": "some_code"},
        "request_id": "req-1",
    }


@pytest.mark.parametrize(
    "status, name",
    [
        (400, "INVALID_ARGUMENT"),
        (413, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ],
)
def test_gemini_errors_name_a_google_status_and_carry_the_request_id(status: int, name: str) -> None:
    error = body(Api.GEMINI, Problem(status, "some_code", "Sorry."))["error"]
    assert (error["code"], error["status"], error["message"]) == (status, name, "Sorry.")
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SOME_CODE",
            "domain": "codemie-proxy",
            "metadata": {"request_id": "req-1"},
        }
    ]


def test_gemini_errors_say_when_to_retry_in_the_body() -> None:
    assert body(Api.GEMINI, PROBLEM)["error"]["details"][1]["retryDelay"] == "5s"


@pytest.mark.parametrize(
    "problem, kind, code",
    [
        (Problem(401, "peer_not_allowed", "x"), "AuthenticationError", "AUTH_FAILED"),
        (Problem(502, "upstream_unreachable", "x"), "NetworkError", "NETWORK_ERROR"),
        (Problem(504, "upstream_timeout", "x"), "TimeoutError", "TIMEOUT"),
        (Problem(503, "upstream_error", "x"), "UpstreamError", "UPSTREAM_ERROR"),
        (Problem(502, "addon_failed", "x"), "ProxyError", "ADDON_FAILED"),
        (Problem(500, "whatever", "x"), "ProxyError", "INTERNAL_ERROR"),
        (Problem(413, "request_too_large", "x"), "ProxyError", "REQUEST_TOO_LARGE"),
    ],
)
def test_codemie_errors_use_its_own_classes(problem: Problem, kind: str, code: str) -> None:
    assert body(Api.CODEMIE, problem) == {
        "error": {"type": kind, "code": code, "message": "x", "statusCode": problem.status},
        "requestId": "req-1",
        "timestamp": "2026-08-21T13:14:25.000Z",
    }


def test_codemie_errors_are_indented_by_two_spaces_and_stamped_with_the_current_time() -> None:
    printed = error_body(Api.CODEMIE, PROBLEM, "req-1")
    assert printed.startswith(b'{\n  "error": {\n    "type"')
    assert abs(datetime.fromisoformat(json.loads(printed)["timestamp"]) - datetime.now(UTC)).seconds < 60


def test_one_body_is_readable_by_anthropic_and_openai_clients() -> None:
    assert json.loads(any_body(Problem(400, "malformed_request", "Not HTTP."))) == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "Not HTTP.",
            "param": None,
            "code": "malformed_request",
        },
    }


@pytest.mark.parametrize("api", list(Api))
def test_no_secret_and_no_broken_character_leaves_in_a_message(api: Api) -> None:
    problem = Problem(502, "upstream_error", "refused Bearer sk-ant-planted-0123456789 \ud800\r\n")
    for printed in (error_body(api, problem, "req-1"), any_body(problem)):
        assert b"planted" not in printed
        assert b"refused" in printed


@pytest.mark.parametrize("asked, given", [(0, "0"), (5, "5"), (60, "60"), (61, "60"), (3600, "60"), (-1, "0")])
def test_retry_after_never_exceeds_what_claude_code_is_willing_to_wait(asked: int, given: str) -> None:
    assert error_headers(Problem(503, "x", "x", asked), "req-1") == [
        ("content-type", "application/json"),
        ("x-codemie-request-id", "req-1"),
        ("retry-after", given),
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 502, 503, 529])
def test_clients_are_told_where_asking_again_is_of_no_use(status: int) -> None:
    told = dict(error_headers(Problem(status, "x", "x"), "r"))
    final = {"x-should-retry": "false"} if status < 429 else {}
    assert told == {"content-type": "application/json", "x-codemie-request-id": "r", **final}


def test_a_certificate_that_is_not_trusted_is_shown_at_once() -> None:
    # Claude Code would ask for three minutes first.
    problem = problem_of(Failure(Reason.CERTIFICATE_REFUSED))
    assert (problem.status, dict(error_headers(problem, "r"))["x-should-retry"]) == (502, "false")


@pytest.mark.parametrize("error", [SettingsError, UnsupportedMitmproxy])
def test_everything_the_bundle_raises_is_one_family(error: type[Exception]) -> None:
    assert issubclass(error, CodemieError)
