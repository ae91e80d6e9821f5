"""The audit trail: what became of each account, when, why and through whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from codemie_core.store import tables


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `at` is in seconds since the epoch."""

    account_id: str
    account_name: str
    at: float
    event: str
    reason: str
    who: str
    id: int = 0
    """Later ones have higher ones."""


def record(
    connection: Connection,
    account_id: str,
    account_name: str,
    event: str,
    reason: str,
    who: str,
    clock: Callable[[], float] = time.time,
) -> None:
    """Add a row. `account_id` is "" for what concerns all."""
    connection.execute(
        insert(tables.account_events).values(
            account_id=account_id,
            account_name=account_name,
            at_ms=int(clock() * 1000),
            event=event,
            reason=reason,
            who=who,
        )
    )


def events(
    connection: Connection, account_id: str | None = None, limit: int = 100, before: int | None = None
) -> list[Event]:
    """The newest, newest first; of one account or of all; with `before` those that came before the one of this id."""
    table = tables.account_events
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    if before is not None:
        query = query.where(table.c.id < before)
    return [
        Event(row.account_id, row.account_name, row.at_ms / 1000, row.event, row.reason, row.who, row.id)
        for row in connection.execute(query)
    ]
