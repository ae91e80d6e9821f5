"""Accounts in the database. Every change leaves a row in the audit trail and a new revision for other processes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.egress import OutboundProxy, parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.scope import address_of
from codemie_core.store import tables
from codemie_core.store.audit import record
from codemie_core.store.database import bump

_LISTS = ("tags", "allow", "deny", "serves")


class NameTaken(SettingsError):
    """Another account has this name."""


def load_accounts(connection: Connection) -> list[Account]:
    """All of them. Outbound proxies come without their authorization: that is sealed (`sealed_proxies`)."""
    return [_account(row) for row in connection.execute(select(tables.accounts).order_by(tables.accounts.c.name))]


def sealed_proxies(connection: Connection) -> dict[str, bytes]:
    """The sealed Proxy-Authorization values, by account id; sealed about `proxy:<account id>`."""
    table = tables.accounts
    rows = connection.execute(
        select(table.c.id, table.c.outbound_proxy_sealed).where(table.c.outbound_proxy_sealed.is_not(None))
    )
    return {row.id: row.outbound_proxy_sealed for row in rows}


def with_proxy_secret(account: Account, authorization: SecretStr) -> Account:
    """The account with its outbound proxy signed in."""
    assert account.outbound_proxy is not None
    return dataclasses.replace(
        account, outbound_proxy=dataclasses.replace(account.outbound_proxy, authorization=authorization)
    )


def find(connection: Connection, name_or_id: str) -> Account | None:
    """The account of this name, else of this id."""
    table = tables.accounts
    for column in (table.c.name, table.c.id):
        if row := connection.execute(select(table).where(column == name_or_id)).first():
            return _account(row)
    return None


def add_account(
    connection: Connection, account: Account, sealed: bytes | None, who: str, sealed_proxy: bytes | None = None
) -> None:
    """Add it, with its sealed secret when that is in the vault. SettingsError when the name is taken."""
    row = {**_row(dataclasses.asdict(account)), "outbound_proxy_sealed": sealed_proxy}
    try:
        connection.execute(insert(tables.accounts).values(**row))
    except IntegrityError:
        raise NameTaken(f"there is an account {account.name!r} already: choose another name") from None
    if sealed is not None:
        connection.execute(insert(tables.account_secrets).values(account_id=account.id, sealed=sealed, version=1))
    record(connection, account.id, account.name, "added", f"{account.provider}, {account.base_url}", who)
    bump(connection)


def change_account(connection: Connection, account_id: str, event: str, reason: str, who: str, **fields: Any) -> None:
    """Set fields of `Account` (and `outbound_proxy_sealed`) and record why. SettingsError when it is gone."""
    row = _row(fields)
    table = tables.accounts
    if row:
        try:
            connection.execute(update(table).where(table.c.id == account_id).values(**row))
        except IntegrityError:
            raise NameTaken(f"there is an account {row.get('name')!r} already: choose another name") from None
    name = connection.execute(select(table.c.name).where(table.c.id == account_id)).scalar()
    if name is None:
        raise SettingsError("the account was removed meanwhile")
    record(connection, account_id, name, event, reason, who)
    bump(connection)


def remove_account(connection: Connection, account_id: str, who: str) -> None:
    """Delete it with its secret, its cooldowns and its conversations' homes; its history stays."""
    table = tables.accounts
    name = connection.execute(select(table.c.name).where(table.c.id == account_id)).scalar()
    if name is None:
        return
    connection.execute(delete(table).where(table.c.id == account_id))
    record(connection, account_id, name, "removed", "", who)
    bump(connection)


def _row(fields: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(fields)
    for name in _LISTS:
        if name in row:
            row[name] = json.dumps(list(row[name]))
    if "secret" in row:
        secret = row.pop("secret")
        # dataclasses.asdict has made a dict of it
        row["secret_source"] = Source(secret["source"] if isinstance(secret, dict) else secret.source).value
        row["secret_place"] = secret["place"] if isinstance(secret, dict) else secret.place
    if "kind" in row:
        row["kind"] = Kind(row["kind"]).value
    if "created_at" in row:
        row["created_ms"] = row.pop("created_at")
    if "outbound_proxy" in row:
        row["outbound_proxy"] = _proxy_url(row["outbound_proxy"])
    return row


def _proxy_url(proxy: OutboundProxy | dict[str, Any] | None) -> str | None:
    if proxy is None:
        return None
    found = proxy if isinstance(proxy, dict) else dataclasses.asdict(proxy)
    return f"{found['scheme']}://{address_of(found['host'], found['port'])}"


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        provider=row.provider,
        kind=Kind(row.kind),
        base_url=row.base_url,
        secret=SecretRef(Source(row.secret_source), row.secret_place),
        priority=row.priority,
        weight=row.weight,
        paused=row.paused,
        needs_login=row.needs_login,
        tags=tuple(json.loads(row.tags)),
        allow=tuple(json.loads(row.allow)),
        deny=tuple(json.loads(row.deny)),
        serves=tuple(json.loads(row.serves)),
        outbound_proxy=parse_proxy(row.outbound_proxy, f"account {row.name}") if row.outbound_proxy else None,
        fallback_model=row.fallback_model,
        created_at=row.created_ms,
    )
