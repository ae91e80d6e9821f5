"""The tables. Times are milliseconds since the epoch, lists are JSON, secrets are sealed by the vault.

Changed by migrations only (`migrations/`); a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _of_account(primary_key: bool = False) -> Column[str]:
    return Column(
        "account_id",
        Text,
        ForeignKey("accounts.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("secret_source", Text, nullable=False),
    Column("secret_place", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("paused", Text),
    Column("needs_login", Boolean, nullable=False),
    Column("tags", Text, nullable=False),
    Column("allow", Text, nullable=False),
    Column("deny", Text, nullable=False),
    Column("serves", Text, nullable=False),
    Column("outbound_proxy", Text),
    Column("outbound_proxy_sealed", LargeBinary),
    Column("fallback_model", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("name"),
)

account_secrets = Table(
    "account_secrets",
    metadata,
    _of_account(primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
)

cooldowns = Table(
    "cooldowns",
    metadata,
    _of_account(primary_key=True),
    # "" for the whole account
    Column("model", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("streak", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

utilization = Table(
    "utilization",
    metadata,
    _of_account(primary_key=True),
    Column("window", Text, primary_key=True),
    Column("utilization", Float, nullable=False),
    Column("resets_at_ms", BigInteger),
    Column("seen_ms", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("key", Text, primary_key=True),
    _of_account(),
    Column("since_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    # the store's revision at which it changed
    Column("changed", BigInteger, nullable=False),
)
Index("ix_conversations_changed", conversations.c.changed)
Index("ix_conversations_used_ms", conversations.c.used_ms)
Index("ix_conversations_account_id", conversations.c.account_id)

client_keys = Table(
    "client_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

oauth_sessions = Table(
    "oauth_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account_name", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

refresh_leases = Table(
    "refresh_leases",
    metadata,
    _of_account(primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

# No foreign key: what happened to an account outlives it.
account_events = Table(
    "account_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("account_id", Text, nullable=False),
    Column("account_name", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("who", Text, nullable=False),
)
Index("ix_account_events_account_id_at_ms", account_events.c.account_id, account_events.c.at_ms)

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("check", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# One row. Every change that other processes must hear of makes `value` one more; `accounts` is the `value` of the last
# change of what operators set: accounts, secrets, settings.
revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("accounts", BigInteger, nullable=False),
)


def _of_request() -> Column[str]:
    return Column("request_id", Text, ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True, nullable=False)


# One model turn each, as `usage/record.py` has it. Names and texts are "" where there is none; what was counted or
# measured is NULL where it is unknown. Money is in nano-USD, durations are milliseconds since the turn began.
requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("agent", Text, nullable=False),
    Column("client_type", Text, nullable=False),
    Column("api", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_served", Text, nullable=False),
    # the one that served, else the one asked for
    Column("model", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("client_key", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("status", Integer),
    Column("terminal", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("head_ms", Float),
    Column("first_byte_ms", Float),
    Column("first_token_ms", Float),
    Column("last_token_ms", Float),
    Column("total_ms", Float, nullable=False),
    Column("tokens_per_second", Float),
    Column("input_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("cache_write_1h_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    # a JSON object, of calls by the tool's name
    Column("server_tools", Text),
    Column("tier", Text, nullable=False),
    Column("cost_nano_usd", BigInteger),
    Column("cost_input", BigInteger),
    Column("cost_cache_read", BigInteger),
    Column("cost_cache_write", BigInteger),
    Column("cost_output", BigInteger),
    Column("cost_tools", BigInteger),
    Column("price_version", Text, nullable=False),
    Column("stop_reason", Text, nullable=False),
    Column("refusal", Boolean, nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tool_calls", Integer, nullable=False),
)
# With the id: lists go on from a row, and old rows are found without touching the table.
Index("ix_requests_started_ms_id", requests.c.started_ms, requests.c.id)
Index("ix_requests_model_started_ms", requests.c.model, requests.c.started_ms)
Index("ix_requests_account_started_ms", requests.c.account, requests.c.started_ms)
Index("ix_requests_agent_started_ms", requests.c.agent, requests.c.started_ms)
Index("ix_requests_session_id_started_ms", requests.c.session_id, requests.c.started_ms)
Index("ix_requests_conversation_id_started_ms", requests.c.conversation_id, requests.c.started_ms)
Index("ix_requests_project_started_ms", requests.c.project, requests.c.started_ms)
Index("ix_requests_branch_started_ms", requests.c.branch, requests.c.started_ms)
Index("ix_requests_client_key_started_ms", requests.c.client_key, requests.c.started_ms)

attempts = Table(
    "attempts",
    metadata,
    _of_request(),
    Column("n", Integer, primary_key=True),
    Column("account", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("status", Integer),
    Column("reason", Text, nullable=False),
    Column("head_ms", Float),
    Column("ended_ms", Float),
)

# What a tool was called with is not kept.
tool_calls = Table(
    "tool_calls",
    metadata,
    _of_request(),
    Column("n", Integer, primary_key=True),
    Column("call_id", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    # NULL until a later turn tells how it went
    Column("ok", Boolean),
)
Index("ix_tool_calls_call_id", tool_calls.c.call_id)

file_operations = Table(
    "file_operations",
    metadata,
    _of_request(),
    # the tool call's n, and which of its files
    Column("n", Integer, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("lines_added", Integer),
    Column("lines_removed", Integer),
)

payloads = Table(
    "payloads",
    metadata,
    _of_request(),
    Column("at_ms", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    # before they were packed
    Column("bytes", BigInteger, nullable=False),
)
Index("ix_payloads_at_ms", payloads.c.at_ms)

# What is sent to CodeMie's API, written down before it is sent.
metrics_batches = Table(
    "metrics_batches",
    metadata,
    # the idempotency key: a uuid5 of what is in it
    Column("id", Text, primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # journalled, posted, marked, refused
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("posted_ms", BigInteger),
)
Index("ix_metrics_batches_state_created_ms", metrics_batches.c.state, metrics_batches.c.created_ms)
Index("ix_metrics_batches_session_id", metrics_batches.c.session_id)

metrics_records = Table(
    "metrics_records",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("marked_ms", BigInteger),
)
Index("ix_metrics_records_batch_id", metrics_records.c.batch_id)
