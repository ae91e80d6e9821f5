import pytest

from codemie_core.accounts.calls import Call, call_of


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages?beta=true"),
        ("POST", "/v1/messages/"),
        ("POST", "/code-assistant-api/v1/messages"),
        ("POST", "/v1/complete"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/chat/completions"),
        ("POST", "/api/paas/v4/chat/completions"),
        ("POST", "/openai/deployments/gpt-5/chat/completions?api-version=2026-01-01"),
        ("POST", "/v1beta/openai/chat/completions"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses"),
        ("GET", "/backend-api/codex/responses"),
        ("POST", "/backend-api/codex/responses"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("POST", "/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict"),
    ],
)
def test_turns_of_a_model(method: str, path: str) -> None:
    assert call_of(method, path) is Call.MODEL


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/messages/count_tokens?beta=true"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1beta/models/gemini-2.5-pro:countTokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models?limit=1000"),
        ("GET", "/v1/models/claude-opus-4-1"),
        ("GET", "/v1beta/models/gemini-2.5-pro"),
        ("GET", "/v1beta/models"),
        ("HEAD", "/v1/models"),
    ],
)
def test_side_calls_go_with_their_conversation(method: str, path: str) -> None:
    assert call_of(method, path) is Call.SIDE


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/files"),
        ("GET", "/v1/files/file_011/content"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/msgbatch_1/results"),
        ("POST", "/v1/batches"),
        ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/c_1"),
        ("POST", "/v1/vector_stores/vs_1/files"),
        ("POST", "/v1/containers"),
        ("DELETE", "/v1/models/ft%3Amine"),
        ("POST", "/v1beta/models/gemini-2.5-pro:batchGenerateContent"),
        ("GET", "/v1beta/batches/b"),
        ("POST", "/upload/v1beta/files"),
        ("POST", "/v1beta/cachedContents"),
        ("POST", "/v1/skills"),
    ],
)
def test_what_an_account_stores_belongs_to_it(method: str, path: str) -> None:
    assert call_of(method, path) is Call.RESOURCE


@pytest.mark.parametrize(
    "method, path",
    [
        ("HEAD", "/"),
        ("GET", ""),
        ("GET", "/api/claude_code/settings"),
        ("POST", "/api/event_logging/batch"),
        ("GET", "/api/oauth/usage"),
        ("POST", "/v1/oauth/token"),
        ("GET", "/backend-api/codex/models"),
        ("GET", "/backend-api/wham/accounts/check"),
        ("POST", "/v1internal:loadCodeAssist"),
        ("GET", "/v1/messages"),
        ("OPTIONS", "/v1/messages"),
        ("DELETE", "/v1/messages"),
        ("POST", "/v1/organizations/api_keys"),
        ("POST", "/v1/unknown?then=/v1/messages"),
        ("POST", "/v1/messagesx"),
        ("POST", "/v1%2Fmessages"),
        ("POST", "/xv1/messages"),
        ("CONNECT", "api.anthropic.com:443"),
    ],
)
def test_everything_else_keeps_the_clients_own_credentials(method: str, path: str) -> None:
    assert call_of(method, path) is Call.CONTROL
