"""The history: model turns with their attempts, tools and files; payloads; what is sent to CodeMie's API."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("client_type", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("model_asked", sa.Text, nullable=False),
        sa.Column("model_served", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("client_key", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("repository", sa.Text, nullable=False),
        sa.Column("branch", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("terminal", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("head_ms", sa.Float),
        sa.Column("first_byte_ms", sa.Float),
        sa.Column("first_token_ms", sa.Float),
        sa.Column("last_token_ms", sa.Float),
        sa.Column("total_ms", sa.Float, nullable=False),
        sa.Column("tokens_per_second", sa.Float),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cache_read_tokens", sa.BigInteger),
        sa.Column("cache_write_tokens", sa.BigInteger),
        sa.Column("cache_write_1h_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("server_tools", sa.Text),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.Column("cost_input", sa.BigInteger),
        sa.Column("cost_cache_read", sa.BigInteger),
        sa.Column("cost_cache_write", sa.BigInteger),
        sa.Column("cost_output", sa.BigInteger),
        sa.Column("cost_tools", sa.BigInteger),
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("stop_reason", sa.Text, nullable=False),
        sa.Column("refusal", sa.Boolean, nullable=False),
        sa.Column("prompts", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tool_calls", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("head_ms", sa.Float),
        sa.Column("ended_ms", sa.Float),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_attempts_request_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("request_id", "n", name="pk_attempts"),
    )
    op.create_table(
        "tool_calls",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("ok", sa.Boolean),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_tool_calls_request_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("request_id", "n", name="pk_tool_calls"),
    )
    op.create_table(
        "file_operations",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("lines_added", sa.Integer),
        sa.Column("lines_removed", sa.Integer),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.id"], name="fk_file_operations_request_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request_id", "n", "part", name="pk_file_operations"),
    )
    op.create_table(
        "payloads",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_payloads_request_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("request_id", name="pk_payloads"),
    )
    op.create_table(
        "metrics_batches",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("branch", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("posted_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_metrics_batches"),
    )
    op.create_table(
        "metrics_records",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("marked_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("session_id", "record_id", name="pk_metrics_records"),
    )
    op.create_index("ix_requests_account_started_ms", "requests", ["account", "started_ms"])
    op.create_index("ix_requests_agent_started_ms", "requests", ["agent", "started_ms"])
    op.create_index("ix_requests_branch_started_ms", "requests", ["branch", "started_ms"])
    op.create_index("ix_requests_client_key_started_ms", "requests", ["client_key", "started_ms"])
    op.create_index("ix_requests_conversation_id_started_ms", "requests", ["conversation_id", "started_ms"])
    op.create_index("ix_requests_model_started_ms", "requests", ["model", "started_ms"])
    op.create_index("ix_requests_project_started_ms", "requests", ["project", "started_ms"])
    op.create_index("ix_requests_session_id_started_ms", "requests", ["session_id", "started_ms"])
    op.create_index("ix_requests_started_ms_id", "requests", ["started_ms", "id"])
    op.create_index("ix_tool_calls_call_id", "tool_calls", ["call_id"])
    op.create_index("ix_payloads_at_ms", "payloads", ["at_ms"])
    op.create_index("ix_metrics_batches_session_id", "metrics_batches", ["session_id"])
    op.create_index("ix_metrics_batches_state_created_ms", "metrics_batches", ["state", "created_ms"])
    op.create_index("ix_metrics_records_batch_id", "metrics_records", ["batch_id"])
