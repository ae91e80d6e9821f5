"""Which calls are between an agent and its vendor alone."""

import pytest

from codemie_core.accounts.calls import Call, call_of
from codemie_core.interception.first_party import climbs, is_control

CLAUDE, CODEX, OPENAI, GEMINI = "api.anthropic.com", "chatgpt.com", "api.openai.com", "cloudcode-pa.googleapis.com"


@pytest.mark.parametrize(
    "host, path",
    [
        (CLAUDE, "/api/claude_code/policy_limits"),
        (CLAUDE, "/api/claude_code/settings?x=1"),
        (CLAUDE, "/api/oauth/usage"),
        (CLAUDE, "/api/event_logging/batch"),
        (CLAUDE, "/v1/oauth/token"),
        (CLAUDE, "/v1/code/sessions"),
        (CLAUDE, "/v1/code/sessions/abc/v1/messages"),
        (CLAUDE, "/v1/sessions/ws/abc/subscribe"),
        (f"{CLAUDE}:443", "/v1/session_ingress/session/abc"),
        (CLAUDE, "/v1/ultrareview/preflight"),
        (CLAUDE, "/v1/design/mcp"),
        (CLAUDE, "/v1/organizations/spend_limits"),
        (CLAUDE, "/v1/messages_like"),
        (CLAUDE, "/"),
        ("API.Anthropic.com.", "/v1/code/x"),
        # What a server that is less strict makes of these.
        (CLAUDE, "//v1/code/sessions/abc/v1/messages"),
        (CLAUDE, "/v1//code/sessions/abc/v1/messages"),
        (CLAUDE, "/%761/code/sessions/abc/v1/messages"),
        (CLAUDE, "/v1/code%2Fsessions/abc/v1/messages"),
        (CLAUDE, "/v1%2f%2fcode/sessions/abc/v1/messages"),
        (CODEX, "/backend-api/wham/accounts/check"),
        (CODEX, "/backend-api/wham/settings/user"),
        (CODEX, "/backend-api/codex/models"),
        (CODEX, "/backend-api/codex/responses_like"),
        (CODEX, "/backend-api/ps/plugins/list"),
        (CODEX, "/"),
        (OPENAI, "/v1/organization/costs"),
        (OPENAI, "/v1/user-auth-credential/whoami"),
        (OPENAI, "/v1/analytics/codex/turn-costs"),
        ("openrouter.ai", "/settings/keys"),
        ("openrouter.ai", "/api/v1/auth/keys"),
        ("opencode.ai", "/config.json"),
        (GEMINI, "/v1internal:loadCodeAssist"),
        (GEMINI, "/v1internal:recordCodeAssistMetrics"),
        ("api.githubcopilot.com", "/mcp/readonly"),
    ],
)
def test_a_call_to_the_vendors_own_host_is_left_alone(host: str, path: str) -> None:
    assert is_control(host, path)
    assert call_of("POST", path, host) is Call.CONTROL


@pytest.mark.parametrize(
    "host, path",
    [
        (CLAUDE, "/v1/messages?beta=true"),
        (CLAUDE, "/v1/messages/count_tokens"),
        (CLAUDE, "/v1/models"),
        (CLAUDE, "/v1/files"),
        (CLAUDE, "/v1/chat/completions"),
        (CODEX, "/backend-api/codex/responses"),
        (CODEX, "/backend-api/codex/responses/compact"),
        (OPENAI, "/v1/responses"),
        (OPENAI, "/v1/chat/completions"),
        (GEMINI, "/v1internal:streamGenerateContent?alt=sse"),
        (GEMINI, "/v1internal:countTokens"),
        ("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent"),
        (OPENAI, "/v1/models/a%2Fb"),
        (OPENAI, "/v1/vector_stores/vs_1"),
        ("openrouter.ai", "/api/v1/chat/completions"),
        ("openrouter.ai", "/api/v1/models"),
        ("opencode.ai", "/zen/v1/messages"),
        ("opencode.ai", "/zen/go/v1/chat/completions"),
        # Another host makes of these paths what it likes.
        ("codemie.example.com", "/api/oauth/usage"),
        ("codemie.example.com", "/v1/code/x"),
        ("api.anthropic.com.example.com", "/api/oauth/usage"),
        ("notchatgpt.com", "/"),
    ],
)
def test_model_calls_and_other_hosts_are_no_such_calls(host: str, path: str) -> None:
    assert not is_control(host, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../organizations/x",
        "/v1/files/%2e%2E/organizations",
        "/v1/files/..%2forganizations",
        "/v1/files/..%5Corganizations",
        "/v1/files/..;x/organizations",
        "/v1/files/%252e%252e%252forganizations",
        "/v1/code/../messages/..",
        "/v1/./messages",
        "/./v1/messages",
    ],
)
def test_a_path_that_may_lead_elsewhere_gets_no_account(path: str) -> None:
    assert climbs(path)
    assert call_of("POST", path, CLAUDE) is Call.CONTROL


@pytest.mark.parametrize("path", ["/v1/files/a..b", "/v1/files/.a", "/v1/models/m.1", "/v1/messages?/../", "/...", ""])
def test_dots_in_names_lead_nowhere(path: str) -> None:
    assert not climbs(path)
