"""Every name under which we report, and what the records' own words are called there.

Those that begin with `gen_ai` are OpenTelemetry's conventions for generative AI (status: development; they still
change). What has no name there begins with `codemie`.
"""

from __future__ import annotations

from collections.abc import Mapping

SERVICE = "codemie-proxy"
SCOPE = "codemie_core.telemetry"

# Attributes of spans and of OTLP metrics.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
CONVERSATION = "gen_ai.conversation.id"
AGENT = "gen_ai.agent.name"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
"""All that the model read, cached tokens included, as the conventions want it."""
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"
ERROR = "error.type"
SERVER = "server.address"
STATUS = "http.response.status_code"
REQUEST_ID = "codemie.request.id"
SESSION = "codemie.session.id"
ACCOUNT = "codemie.account"
CLIENT_KEY = "codemie.client_key"
PROJECT = "codemie.project"
ATTEMPTS = "codemie.attempts"
TERMINAL = "codemie.terminal"
COST = "codemie.cost.usd"
PRICES = "codemie.cost.prices"
TOOL_CALLS = "codemie.tool_calls"

# OTLP metrics and the boundaries the conventions give for them.
TOKEN_USAGE = "gen_ai.client.token.usage"
OPERATION_DURATION = "gen_ai.client.operation.duration"
TIME_TO_FIRST_TOKEN = "gen_ai.server.time_to_first_token"
COST_TOTAL = "codemie.cost"
TOKEN_BOUNDS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
DURATION_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# Prometheus. Everything begins with the prefix; counters end in _total by themselves.
PREFIX = "codemie_proxy_"
REQUESTS = f"{PREFIX}requests"
TOKENS = f"{PREFIX}tokens"
REASONING = f"{PREFIX}reasoning_tokens"
COST_USD = f"{PREFIX}cost_usd"
UNPRICED = f"{PREFIX}unpriced_requests"
TRIES = f"{PREFIX}attempts"
FAILOVERS = f"{PREFIX}failovers"
DURATION = f"{PREFIX}request_duration_seconds"
FIRST_TOKEN = f"{PREFIX}first_token_seconds"
SECONDS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)

OPERATIONS: Mapping[str, str] = {"gemini": "generate_content"}
"""By the API; all others are a chat."""
PROVIDERS: Mapping[str, str] = {
    "google": "gcp.gemini",
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
    "moonshotai": "moonshot_ai",
}
"""The conventions' words for providers, where they are not the price list's."""


def operation_of(api: str) -> str:
    """What was done, in the conventions' word."""
    return OPERATIONS.get(api, "chat")


def provider_name(provider: str) -> str:
    """Who served it, in the conventions' word."""
    return PROVIDERS.get(provider, provider)


def status_class(status: int | None) -> str:
    """2xx, 4xx, 5xx, ...; "none" when there was no answer."""
    return "none" if status is None else f"{status // 100}xx"
