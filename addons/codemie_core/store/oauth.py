"""Sign-ins that were begun and not yet ended: kept for ten minutes, taken once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from codemie_core.store import tables

LIFETIME_MS = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What a sign-in needs to end: its verifier and state, sealed about `login:<id>`."""

    id: str
    provider: str
    account_name: str
    sealed: bytes


def put_login(connection: Connection, session: LoginSession, now_ms: int) -> None:
    """Keep it, and drop those that are too old."""
    table = tables.oauth_sessions
    connection.execute(delete(table).where(table.c.expires_ms <= now_ms))
    connection.execute(
        insert(table).values(
            id=session.id,
            provider=session.provider,
            account_name=session.account_name,
            sealed=session.sealed,
            created_ms=now_ms,
            expires_ms=now_ms + LIFETIME_MS,
        )
    )


def take_login(connection: Connection, session_id: str, now_ms: int) -> LoginSession | None:
    """Give it out, this once; None when it is unknown, taken or too old."""
    table = tables.oauth_sessions
    row = connection.execute(select(table).where(table.c.id == session_id)).first()
    gone = connection.execute(delete(table).where(table.c.id == session_id)).rowcount
    if row is None or not gone or row.expires_ms <= now_ms:
        return None
    return LoginSession(row.id, row.provider, row.account_name, row.sealed)
