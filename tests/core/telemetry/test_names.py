"""The names under which we report are those of the conventions, and each is documented."""

from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, server_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from codemie_core.telemetry import names


def told(module: object) -> set[str]:
    return {value for value in vars(module).values() if isinstance(value, str)}


def test_what_begins_like_a_convention_is_one() -> None:
    known = told(gen_ai_attributes) | told(gen_ai_metrics) | told(error_attributes) | told(server_attributes)
    ours = {value for value in told(names) if value.startswith(("gen_ai.", "error.", "server."))}
    assert len(ours) > 15
    assert ours <= known


def test_no_name_stands_for_what_was_said() -> None:
    content = ("message", "prompt", "instructions", "arguments", "result", "definitions", "completion")
    assert [value for value in told(names) if any(word in value for word in content) and "." in value[:8]] == []


@pytest.mark.parametrize(
    "provider, name", [("google", "gcp.gemini"), ("aws", "aws.bedrock"), ("anthropic", "anthropic"), ("", "")]
)
def test_providers_have_the_words_of_the_conventions(provider: str, name: str) -> None:
    assert names.provider_name(provider) == name
    known = {each.value for each in gen_ai_attributes.GenAiProviderNameValues}
    assert not name or name in known


@pytest.mark.parametrize("api, operation", [("anthropic", "chat"), ("gemini", "generate_content"), ("", "chat")])
def test_operations_have_the_words_of_the_conventions(api: str, operation: str) -> None:
    assert names.operation_of(api) == operation
    assert operation in {each.value for each in gen_ai_attributes.GenAiOperationNameValues}


@pytest.mark.parametrize("status, word", [(200, "2xx"), (429, "4xx"), (529, "5xx"), (None, "none")])
def test_statuses_are_counted_by_their_class(status: int | None, word: str) -> None:
    assert names.status_class(status) == word


def test_every_name_is_explained_in_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "telemetry.md").read_text("utf-8")
    ours = {value for name, value in vars(names).items() if isinstance(value, str) and name.isupper()}
    ours -= {names.SERVICE, names.SCOPE, names.PREFIX}
    assert len(ours) > 30
    assert [value for value in ours if f"`{value.removeprefix(names.PREFIX)}" not in page] == []
