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
