"""Who bills for a model, by the host that served it and by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.providers import names_of, provider_of


@pytest.mark.parametrize(
    "host, model, provider",
    [
        ("api.anthropic.com", "claude-opus-4-6", "anthropic"),
        ("api.anthropic.com", "my-model", "anthropic"),
        ("API.Anthropic.com.", "claude-opus-4-6", "anthropic"),
        ("api.anthropic.com:443", "my-model", "anthropic"),
        ("api.openai.com", "gpt-5", "openai"),
        ("chatgpt.com", "gpt-5.3-codex", "openai"),
        ("generativelanguage.googleapis.com", "gemini-2.5-pro", "google"),
        ("us-central1-aiplatform.googleapis.com", "claude-opus-4-6@20260205", "google"),
        ("cloudcode-pa.googleapis.com", "gemini-2.5-pro", "google"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "eu.anthropic.claude-opus-4-6-v1:0", "aws"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "anthropic.claude-3-haiku-20240307-v1:0", "aws"),
        ("s3.eu-west-1.amazonaws.com", "llama", ""),
        ("team.openai.azure.com", "gpt-5-2025-08-07", "azure"),
        ("team.services.ai.azure.com", "claude-opus-4-6", "azure"),
        ("openrouter.ai", "anthropic/claude-opus-4.6", "openrouter"),
        ("api.githubcopilot.com", "claude-opus-4.7", "github-copilot"),
        ("api.individual.githubcopilot.com", "claude-opus-4.7", "github-copilot"),
        ("evil-api.anthropic.com.example.org", "x", ""),
        ("notapi.anthropic.com", "x", ""),
        # Others pass on what somebody else serves.
        ("codemie.example.com", "claude-sonnet-4-5-20250929", "anthropic"),
        ("codemie.example.com", "gpt-5-2025-08-07", "openai"),
        ("codemie.example.com", "o3", "openai"),
        ("codemie.example.com", "gemini-2.5-pro", "google"),
        ("codemie.example.com", "models/gemini-2.5-pro", "google"),
        ("codemie.example.com", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("codemie.example.com", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("codemie.example.com", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("codemie.example.com", "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x", "aws"),
        ("codemie.example.com", "claude-opus-4-6@20260205", "google"),
        ("codemie.example.com", "vertex_ai/gemini-2.5-pro", "google"),
        ("codemie.example.com", "azure/gpt-5", "azure"),
        ("codemie.example.com", "anthropic/claude-opus-4-6", "anthropic"),
        ("127.0.0.1", "deepseek-chat", "deepseek"),
        ("127.0.0.1", "llama3.2", ""),
        ("127.0.0.1", "gpt-oss:20b", ""),
        ("127.0.0.1", "", ""),
    ],
)
def test_the_host_decides_else_the_models_name(host: str, model: str, provider: str) -> None:
    assert provider_of(host, "", model) == provider


@pytest.mark.parametrize(
    "model, name",
    [
        ("Claude-Opus-4-6", "claude-opus-4-6"),
        ("claude-opus-4-6[1m]", "claude-opus-4-6"),
        ("anthropic/claude-opus-4.6:beta", "claude-opus-4.6"),
        ("publishers/anthropic/models/claude-opus-4-6@20260205", "claude-opus-4-6"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("claude-4-5-sonnet", "claude-sonnet-4-5"),
        ("claude-4-opus@20250514", "claude-opus-4"),
        ("ca.anthropic.claude-opus-4-6-v1:0", "anthropic.claude-opus-4-6-v1:0"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x", "us.anthropic.claude-x"),
    ],
)
def test_a_model_is_looked_up_under_every_way_to_write_it(model: str, name: str) -> None:
    assert name in names_of(model)


def test_the_name_as_it_stands_comes_first() -> None:
    assert next(names_of("anthropic/claude-opus-4.6:thinking")) == "anthropic/claude-opus-4.6:thinking"


def test_the_global_endpoint_is_never_taken_for_a_region() -> None:
    assert list(names_of("global.anthropic.claude-opus-9")) == ["global.anthropic.claude-opus-9"]


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_server_calls_itself_and_its_models_nothing_raises(host: str, model: str) -> None:
    provider_of(host, "anthropic", model)
    assert len(list(names_of(model))) <= 7
