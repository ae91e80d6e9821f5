"""Bodies of errors as providers and gateways send them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.complaint import NO_COMPLAINT, Complaint, read_complaint
from codemie_core.accounts.moments import LONGEST

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}


def openai(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def gemini(message: str, *details: dict[str, Any], status: str = "RESOURCE_EXHAUSTED") -> dict[str, Any]:
    return {"error": {"code": 429, "message": message, "status": status, "details": list(details)}}


def quota(*ids: str) -> dict[str, Any]:
    violations = [{"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": one} for one in ids]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


def retry_info(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


MONEY_OR_QUOTA = "You exceeded your current quota, please check your plan and billing details."
ORGANIZATION = "This request would exceed your organization's rate limit of 30,000 input tokens per minute"
CODE_ASSIST = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "QUOTA_EXHAUSTED",
    "domain": "cloudcode-pa.googleapis.com",
    "metadata": {
        "model": "gemini-3-pro",
        "quotaResetDelay": "161h39m41.300432511s",
        "quotaResetTimeStamp": "2026-09-28T07:53:01Z",
    },
}

LIMITED: list[tuple[str, int, Any, Complaint]] = [
    (
        "anthropic, with nothing to add",
        429,
        anthropic("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
        Complaint(),
    ),
    (
        "anthropic, of one model",
        429,
        anthropic("rate_limit_error", f"{ORGANIZATION} (org: 80162711, model: claude-opus-4-6). For details"),
        Complaint(of_model=True),
    ),
    ("anthropic, of the organization", 429, anthropic("rate_limit_error", f"{ORGANIZATION}. For details"), Complaint()),
    (
        "anthropic, long context",
        429,
        anthropic("rate_limit_error", "Extra usage is required for long context requests."),
        Complaint(of_request=True),
    ),
    (
        "anthropic, older clients' form",
        429,
        anthropic("rate_limit_error", "Claude AI usage limit reached|1790003600"),
        Complaint(until=NOW + 3600),
    ),
    (
        "openai, tokens per minute",
        429,
        openai(
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 14567, "
            "Requested 24754. Please try again in 18.642s. Visit https://platform.openai.com/account/rate-limits",
            "tokens",
            "rate_limit_exceeded",
        ),
        Complaint(of_model=True, until=NOW + 18.642),
    ),
    (
        "openai, milliseconds",
        429,
        openai("Rate limit reached for gpt-4o in organization org-x. Please try again in 644ms.", "tokens", None),
        Complaint(of_model=True, until=NOW + 0.644),
    ),
    (
        "openai, minutes",
        429,
        openai("Rate limit reached for gpt-5 in project p on requests per day. Please try again in 7m12s.", "r", None),
        Complaint(of_model=True, until=NOW + 432),
    ),
    (
        "openai, too large for any minute",
        429,
        openai(
            "Request too large for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000, Requested 36055.",
            "tokens",
            "rate_limit_exceeded",
        ),
        Complaint(of_request=True),
    ),
    (
        "openai, no money",
        429,
        openai(MONEY_OR_QUOTA, "insufficient_quota", "insufficient_quota"),
        Complaint(no_credits=True),
    ),
    ("openai, the message alone", 429, openai(MONEY_OR_QUOTA, "x", None), Complaint(no_credits=True)),
    (
        "codex",
        429,
        {
            "error": {
                "type": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "plan_type": "plus",
                "resets_at": 1790003600,
                "eligible_promo": None,
                "resets_in_seconds": 3590,
            }
        },
        Complaint(until=NOW + 3600),
    ),
    (
        "codex, time as text",
        429,
        {"error": {"type": "usage_limit_reached", "resets_at": "2026-09-21T15:13:20Z"}},
        Complaint(until=NOW + 3600),
    ),
    ("codex, not in the plan", 429, {"error": {"type": "usage_not_included"}}, Complaint(no_credits=True)),
    (
        "gemini, per minute",
        429,
        gemini(
            f"{MONEY_OR_QUOTA}\nPlease retry in 20.04466179s.",
            quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
            retry_info("20s"),
        ),
        Complaint(of_model=True, until=NOW + 20.04466179),
    ),
    (
        "gemini, per day",
        429,
        gemini(
            f"{MONEY_OR_QUOTA}\nPlease retry in 34s.",
            quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            retry_info("34s"),
        ),
        Complaint(of_model=True),
    ),
    ("gemini, of a project", 429, gemini(MONEY_OR_QUOTA, quota("TokensPerMinutePerProject")), Complaint()),
    ("gemini, no details", 429, gemini("Resource has been exhausted (e.g. check quota)."), Complaint()),
    (
        "gemini, in an array",
        429,
        [gemini("Quota exceeded", quota("RequestsPerMinutePerProjectPerModel"), retry_info("5s"))],
        Complaint(of_model=True, until=NOW + 5),
    ),
    (
        "vertex",
        429,
        gemini(
            "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_"
            "per_base_model with base model: gemini-pro."
        ),
        Complaint(of_model=True),
    ),
    (
        "gemini code assist",
        429,
        gemini("You have exhausted your capacity on this model. Your quota will reset after 161h39m41s.", CODE_ASSIST),
        Complaint(of_model=True, until=1_790_581_981.3004324),
    ),
    (
        "gemini code assist, the whole account",
        429,
        gemini("Individual quota reached. Please upgrade your subscription. Resets in 9h22m20s."),
        Complaint(until=NOW + 9 * 3600 + 22 * 60 + 20),
    ),
    (
        "gemini, no capacity",
        429,
        gemini("No capacity available for model gemini-3.1-flash-lite on the server"),
        Complaint(of_model=True, overloaded=True),
    ),
    ("azure", 429, {"error": {"code": "429", "message": "Please retry after 26 seconds."}}, Complaint(until=NOW + 26)),
    ("azure, ms", 429, {"error": {"message": "retry after 500 milliseconds"}}, Complaint(until=NOW + 0.5)),
    ("words", 429, {"detail": "Try again in 1 hour 5 minutes, please"}, Complaint(until=NOW + 3900)),
    (
        "openrouter",
        402,
        {"error": {"message": "Insufficient credits. Add more.", "code": 402}},
        Complaint(no_credits=True),
    ),
    (
        "deepseek",
        402,
        openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        Complaint(no_credits=True),
    ),
    ("anthropic billing", 402, anthropic("billing_error", "Your account"), Complaint(no_credits=True)),
    (
        "moonshot",
        429,
        openai("The engine is currently overloaded", "engine_overloaded_error", None),
        Complaint(overloaded=True),
    ),
    (
        "litellm, around anthropic",
        429,
        openai(
            f"litellm.RateLimitError: AnthropicException - b'{json.dumps(anthropic('rate_limit_error', 'x'))}'",
            "n",
            "429",
        ),
        Complaint(),
    ),
    (
        "litellm, budget",
        429,
        openai("Budget has been exceeded! Current cost: 10.2", "budget_exceeded", "429"),
        Complaint(no_credits=True),
    ),
    (
        "codemie",
        429,
        {"error": {"message": "Budget exceeded", "type": "ProxyError", "code": "X"}},
        Complaint(no_credits=True),
    ),
    ("a plain one", 429, {"error": "rate limited"}, Complaint()),
]
REFUSED: list[tuple[str, Any, Complaint]] = [
    (
        "credits",
        anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go"),
        Complaint(no_credits=True),
    ),
    (
        "credits, in a gateway's text",
        openai(
            "litellm.BadRequestError: AnthropicException - b'"
            + json.dumps(anthropic("invalid_request_error", "Your credit balance is too low to access"))
            + "'",
            "invalid_request_error",
            "400",
        ),
        Complaint(no_credits=True),
    ),
    (
        "spend limit",
        anthropic(
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-10-01 at 00:00 UTC.",
        ),
        Complaint(spend_limit=True, until=1_790_812_800.0),
    ),
    (
        "spend limit that is over",
        anthropic(
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-09-01 at 00:00 UTC.",
        ),
        Complaint(spend_limit=True),
    ),
    (
        "disabled",
        anthropic("invalid_request_error", "This organization has been disabled."),
        Complaint(disabled=True),
    ),
    (
        "gemini key",
        gemini(
            "API key not valid. Please pass a valid API key.",
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
            status="INVALID_ARGUMENT",
        ),
        Complaint(key_refused=True),
    ),
    (
        "litellm budget",
        openai("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", "budget_exceeded", "400"),
        Complaint(no_credits=True),
    ),
    ("an ordinary one", anthropic("invalid_request_error", "max_tokens: Field required"), Complaint()),
    (
        "extra usage",
        anthropic("invalid_request_error", "You're out of extra usage. Add more at claude.ai"),
        Complaint(),
    ),
    (
        "one that quotes the request",
        anthropic("invalid_request_error", "tools.0.name: 'your credit balance is too low' should match pattern"),
        Complaint(),
    ),
    (
        "one that quotes a wait",
        anthropic("invalid_request_error", "messages.0: 'try again in 900s' is too long, insufficient_quota"),
        Complaint(),
    ),
]


@pytest.mark.parametrize("status, body, complaint", [case[1:] for case in LIMITED], ids=[case[0] for case in LIMITED])
def test_what_a_limit_is_about(status: int, body: Any, complaint: Complaint) -> None:
    assert read_complaint(json.dumps(body).encode(), status, NOW) == complaint


@pytest.mark.parametrize("body, complaint", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_a_bad_request_is_about(body: Any, complaint: Complaint) -> None:
    assert read_complaint(json.dumps(body).encode(), 400, NOW) == complaint


def test_an_error_in_a_stream_is_read_too() -> None:
    event = json.dumps(openai(MONEY_OR_QUOTA, "insufficient_quota", "insufficient_quota"))
    body = f"event: error\ndata: {event}\n\n".encode()
    assert read_complaint(body, 429, NOW).no_credits


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>insufficient_quota</html>",
        b"insufficient_quota",
        b"{",
        b'{"error": ',
        b"\x00\xff\xfe\x80" * 1000,
        b'{"a":' * 100_000,
        b'{"a":' * 40_000,
        b"[" * 100_000,
        b'{"error":{"message":"' + b"insufficient_quota " * 100_000 + b'"}}',
        b'{"error":{"type":["insufficient_quota"],"code":{"insufficient_quota":1},"message":null,"status":true}}',
        b'{"message":"retry in 99999999999999999999s"}',
        b'{"resets_at":1e400}',
        b'{"resets_at":NaN}',
        b'{"resets_in_seconds":true}',
        b'{"message":"usage limit reached|1700000000"}',
        b'{"resets_at":-5,"resets_in_seconds":"soon","retryDelay":"-3s"}',
        b'{"resets_in_seconds":1' + b"0" * 4000 + b"}",
        '{"message":"retry in \u0663s"}'.encode(),
        b'{"message":"You will regain access on 2026-99-99 at 99:99 UTC."}',
    ],
)
def test_hostile_bodies_say_nothing(body: bytes) -> None:
    assert read_complaint(body, 429, NOW) == NO_COMPLAINT
    assert read_complaint(body, 400, NOW) == NO_COMPLAINT


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=60),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "type", "code", "retryDelay", "resets_at", "resets_in_seconds", "details"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
WAITS = st.from_regex(r"(try again|retry|resets) (in|after) [0-9]{1,12}(\.[0-9]{1,14})? ?(ms|s|m|h|d|days|hours)")


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_raises_or_names_a_time_that_is_past_or_beyond_a_year(body: bytes) -> None:
    for status in (400, 402, 429):
        until = read_complaint(body, status, NOW).until
        assert until is None or NOW < until <= NOW + LONGEST


@given(WAITS)
def test_no_wait_in_words_is_past_or_beyond_a_year(text: str) -> None:
    until = read_complaint(json.dumps({"message": text}).encode(), 429, NOW).until
    assert until is None or NOW < until <= NOW + LONGEST
