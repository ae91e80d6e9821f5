import pytest

from codemie_core.usage.apis import model_api

TURNS = [
    ("POST", "/v1/messages", "anthropic"),
    ("POST", "/v1/messages?beta=true", "anthropic"),
    ("POST", "/code-assistant-api/v1/messages/", "anthropic"),
    ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4:streamRawPredict", "anthropic"),
    ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4:rawPredict", "anthropic"),
    ("POST", "/v1/chat/completions", "openai-chat"),
    ("POST", "/chat/completions", "openai-chat"),
    ("POST", "/openai/deployments/gpt-4.1/chat/completions?api-version=2025-01-01", "openai-chat"),
    ("POST", "/api/paas/v4/chat/completions", "openai-chat"),
    ("POST", "/v1/responses", "openai-responses"),
    ("GET", "/v1/responses", "openai-responses"),
    ("POST", "/backend-api/codex/responses", "openai-responses"),
    ("GET", "/backend-api/codex/responses?x=1", "openai-responses"),
    ("POST", "/v1/responses/compact", "openai-responses"),
    ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
    ("POST", "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini"),
    ("POST", "/v1internal:streamGenerateContent?alt=sse", "gemini"),
    ("POST", "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent", "gemini"),
]
OTHERS = [
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages"),
    ("HEAD", "/"),
    ("POST", "/messages"),
    ("POST", "/v1/my-messages"),
    ("GET", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/models"),
    ("GET", "/backend-api/codex/models"),
    ("GET", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/compact"),
    ("DELETE", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1beta/models/gemini-2.5-pro:countTokens"),
    ("GET", "/v1beta/models/gemini-2.5-pro:generateContent"),
    ("POST", "/v1beta/models/text-embedding:embedContent"),
    ("POST", "/log?to=/v1/messages"),
    ("POST", ""),
]


@pytest.mark.parametrize("method, path, api", TURNS)
def test_requests_for_a_turn_are_known_behind_any_prefix(method: str, path: str, api: str) -> None:
    assert model_api(method, path) == api


@pytest.mark.parametrize("method, path", OTHERS)
def test_other_requests_are_no_turn(method: str, path: str) -> None:
    assert model_api(method, path) == ""
