"""Sealed secrets of accounts, replaced by compare-and-set, and the leases by which one process refreshes a token.

Nothing in here can open what it stores.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from codemie_core.accounts.account import Kind
from codemie_core.store import tables
from codemie_core.store.database import bump


def sealed_secret(connection: Connection, account_id: str) -> tuple[bytes, int] | None:
    """The blob and its version; None when the vault has nothing for this account."""
    table = tables.account_secrets
    row = connection.execute(select(table).where(table.c.account_id == account_id)).first()
    return (row.sealed, row.version) if row else None


def replace_secret(connection: Connection, account_id: str, sealed: bytes, expected_version: int | None) -> bool:
    """Store it if nobody has stored another since `expected_version`; None takes whatever is there. Was it stored?

    Not for an account that was removed meanwhile.
    """
    table = tables.account_secrets
    query = update(table).where(table.c.account_id == account_id)
    if expected_version is not None:
        query = query.where(table.c.version == expected_version)
    done = connection.execute(query.values(sealed=sealed, version=table.c.version + 1)).rowcount == 1
    if not done and not expected_version and sealed_secret(connection, account_id) is None:
        account = select(tables.accounts.c.id).where(tables.accounts.c.id == account_id)
        if connection.execute(account).first() is None:
            return False
        connection.execute(insert(table).values(account_id=account_id, sealed=sealed, version=1))
        done = True
    if done:
        bump(connection)
    return done


def all_secrets(connection: Connection) -> dict[str, tuple[bytes, int]]:
    """Every blob with its version, by account id."""
    rows = connection.execute(select(tables.account_secrets))
    return {row.account_id: (row.sealed, row.version) for row in rows}


def secret_versions(connection: Connection) -> dict[str, int]:
    """The version of every secret, by account id: tells which were replaced."""
    table = tables.account_secrets
    return {row.account_id: row.version for row in connection.execute(select(table.c.account_id, table.c.version))}


def sealed_keys(connection: Connection) -> dict[str, bytes]:
    """The blobs of accounts with an API key, by account id. Sign-ins are larger and change by themselves."""
    secrets, accounts = tables.account_secrets, tables.accounts
    query = select(secrets.c.account_id, secrets.c.sealed).join(accounts, accounts.c.id == secrets.c.account_id)
    return {
        row.account_id: row.sealed for row in connection.execute(query.where(accounts.c.kind == Kind.API_KEY.value))
    }


def drop_secret(connection: Connection, account_id: str) -> None:
    """The vault holds nothing for this account any more."""
    connection.execute(delete(tables.account_secrets).where(tables.account_secrets.c.account_id == account_id))
    bump(connection)


def lease_refresh(connection: Connection, account_id: str, holder: str, now_ms: int, until_ms: int) -> bool:
    """May `holder` refresh this account's token until then? Only one may at a time; a lease left behind runs out."""
    table = tables.refresh_leases
    free = or_(table.c.holder == holder, table.c.until_ms <= now_ms)
    taken = connection.execute(
        update(table).where(table.c.account_id == account_id, free).values(holder=holder, until_ms=until_ms)
    )
    if taken.rowcount:
        return True
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(account_id=account_id, holder=holder, until_ms=until_ms))
    except IntegrityError:
        return False
    return True


def release_refresh(connection: Connection, account_id: str, holder: str) -> None:
    """Give the lease back."""
    table = tables.refresh_leases
    connection.execute(delete(table).where(table.c.account_id == account_id, table.c.holder == holder))


def vault_checks(connection: Connection) -> dict[str, bytes]:
    """The vault's keys this database was sealed with: id -> check."""
    return {row.key_id: row.check for row in connection.execute(select(tables.vault_keys))}


def set_vault_checks(connection: Connection, checks: Mapping[str, bytes], now_ms: int) -> None:
    """These and no others."""
    connection.execute(delete(tables.vault_keys))
    for key_id, check in checks.items():
        connection.execute(insert(tables.vault_keys).values(key_id=key_id, check=check, created_ms=now_ms))
    bump(connection)
