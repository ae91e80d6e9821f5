"""A record in OpenTelemetry's words: what is there, what is left out, and what must never be there."""

import pytest

from codemie_core.telemetry.attributes import Value, error_of, metric_attributes, span_attributes, span_name
from codemie_core.usage.cost import Cost
from codemie_core.usage.record import NO_LABELS
from codemie_core.usage.usage import UNKNOWN
from support.records import new_record, tool_use


def test_a_turn_is_told_with_its_numbers() -> None:
    found = span_attributes(new_record(tools=(tool_use("1"),)))
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "claude-sonnet-4-5-20250929",
        "gen_ai.response.finish_reasons": ("tool_use",),
        "gen_ai.response.time_to_first_chunk": 0.4,
        "gen_ai.conversation.id": "conversation",
        "gen_ai.agent.name": "claude",
        "gen_ai.usage.input_tokens": 30_512,
        "gen_ai.usage.cache_read.input_tokens": 30_000,
        "gen_ai.usage.cache_creation.input_tokens": 500,
        "gen_ai.usage.output_tokens": 300,
        "server.address": "api.anthropic.com:443",
        "http.response.status_code": 200,
        "codemie.request.id": found["codemie.request.id"],
        "codemie.session.id": "5e551071-0000-4000-8000-000000000001",
        "codemie.account": "main",
        "codemie.project": "project",
        "codemie.attempts": 1,
        "codemie.terminal": "complete",
        "codemie.cost.usd": 0.015411,
        "codemie.cost.prices": "genai-prices 0.2.3",
        "codemie.tool_calls": 1,
    }


def test_unknown_is_left_out_and_not_nothing() -> None:
    found = span_attributes(
        new_record(usage=UNKNOWN, cost=Cost(), first_token_ms=None, status=None, labels=NO_LABELS, account="")
    )
    assert not [name for name in found if "usage" in name or "cost" in name]
    assert not found.keys() & {"http.response.status_code", "codemie.project", "codemie.account"}


def test_tools_arguments_and_folders_stay_here() -> None:
    record = new_record(tools=(tool_use("1"),))
    told = str(span_attributes(record)) + str(metric_attributes(record))
    kept_back = ("file_path", "src/new.py", "Write", record.labels.working_directory, record.labels.repository)
    assert [word for word in kept_back if word in told] == []


@pytest.mark.parametrize(
    "changes, error",
    [
        ({}, ""),
        ({"status": 429, "terminal": "complete"}, "429"),
        ({"status": None, "terminal": "upstream_error"}, "upstream_error"),
        ({"terminal": "truncated"}, "truncated"),
        ({"terminal": "client_cancelled"}, "client_cancelled"),
        ({"error": "overloaded_error"}, "stream_error"),
    ],
)
def test_what_went_wrong_is_one_of_few_words(changes: dict[str, object], error: str) -> None:
    record = new_record(**changes)
    assert error_of(record) == error
    assert span_attributes(record).get("error.type", "") == error


@pytest.mark.parametrize(
    "changes, name",
    [
        ({}, "chat claude-sonnet-4-5"),
        ({"api": "gemini", "model_asked": "", "model_served": "gemini-2.5-pro"}, "generate_content gemini-2.5-pro"),
        ({"model_asked": "", "model_served": ""}, "chat"),
    ],
)
def test_a_span_is_called_by_operation_and_model(changes: dict[str, object], name: str) -> None:
    assert span_name(new_record(**changes)) == name


def test_what_no_collector_could_read_is_made_readable() -> None:
    record = new_record(model_asked="\ud800" + "x" * 999, stop_reason="\udfff")
    found = span_attributes(record)
    for value in (*found.values(), *metric_attributes(record).values(), span_name(record), *_words(found)):
        str(value).encode()
    assert len(str(found["gen_ai.request.model"])) == 256


def _words(found: dict[str, Value]) -> tuple[str, ...]:
    reasons = found["gen_ai.response.finish_reasons"]
    assert isinstance(reasons, tuple)
    return reasons
