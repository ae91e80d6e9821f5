"""What the pool remembers, as rows: cooldowns, utilization, and which account each conversation lives on.

Of two words about one thing the newer counts, whichever process it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from codemie_core.accounts.state import Change, Cooldown, Home, PoolState, Usage
from codemie_core.store import tables
from codemie_core.store.database import bump, revision_of

MOST_HOMES = 100_000
_FORGOTTEN = 24 * 3600.0
"""Seconds after which a conversation nobody used, or a cooldown that is over, may go."""


def save_changes(connection: Connection, changes: Sequence[Change]) -> int:
    """Store them under one new revision, which is returned. Those about an account that was removed are dropped."""
    if not changes:
        return revision_of(connection)
    revision = bump(connection)
    known = set(connection.execute(select(tables.accounts.c.id)).scalars())
    fresh = [change for change in changes if change.account_id in known]
    for table, kind in ((tables.cooldowns, Cooldown), (tables.utilization, Usage), (tables.conversations, Home)):
        rows = [_row(change, revision) for change in fresh if isinstance(change, kind)]
        if rows:
            _upsert(connection, table, rows)
    return revision


def load_state(connection: Connection, now: float) -> PoolState:
    """All of it, without what nobody needs any more; cooldowns that have passed too, for their probes and streaks."""
    oldest = _ms(now - _FORGOTTEN)
    homes = tables.conversations
    newest = (
        select(homes).where(homes.c.used_ms > oldest).order_by(homes.c.used_ms.desc(), homes.c.key).limit(MOST_HOMES)
    )
    cooldowns = select(tables.cooldowns).where(
        or_(tables.cooldowns.c.until_ms > oldest, tables.cooldowns.c.since_ms > oldest)
    )
    return PoolState(
        cooldowns=[_cooldown(row) for row in connection.execute(cooldowns)],
        usages=[_usage(row) for row in connection.execute(select(tables.utilization))],
        homes=[_home(row) for row in connection.execute(newest)],
    )


def state_since(connection: Connection, revision: int) -> PoolState:
    """What was stored after this revision."""
    found = {
        table: connection.execute(select(table).where(table.c.changed > revision))
        for table in (tables.cooldowns, tables.utilization, tables.conversations)
    }
    return PoolState(
        cooldowns=[_cooldown(row) for row in found[tables.cooldowns]],
        usages=[_usage(row) for row in found[tables.utilization]],
        homes=[_home(row) for row in found[tables.conversations]],
    )


def prune(connection: Connection, now: float, most: int = 5_000) -> int:
    """Delete conversations nobody used for a day, some at a time; how many."""
    table = tables.conversations
    old = select(table.c.key).where(table.c.used_ms <= _ms(now - _FORGOTTEN)).limit(most)
    return connection.execute(delete(table).where(table.c.key.in_(old))).rowcount


def _upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    query = dialect.insert(table)
    new, keys = query.excluded, [column.name for column in table.primary_key]
    connection.execute(
        query.on_conflict_do_update(
            index_elements=keys,
            set_={column.name: new[column.name] for column in table.columns if column.name not in keys},
            where=_newer(table, new),
        ),
        rows,
    )


def _newer(table: Table, new: Any) -> Any:
    if table is tables.cooldowns:
        return new.since_ms >= table.c.since_ms
    if table is tables.utilization:
        return new.seen_ms >= table.c.seen_ms
    later = and_(new.since_ms == table.c.since_ms, new.used_ms >= table.c.used_ms)
    return or_(new.since_ms > table.c.since_ms, later)


def _row(change: Change, revision: int) -> dict[str, Any]:
    match change:
        case Cooldown():
            return {
                "account_id": change.account_id,
                "model": change.model,
                "until_ms": _ms(change.until),
                "reason": change.reason,
                "verified": change.verified,
                "streak": change.streak,
                "since_ms": _ms(change.since),
                "changed": revision,
            }
        case Usage():
            return {
                "account_id": change.account_id,
                "window": change.window,
                "utilization": change.utilization,
                "resets_at_ms": None if change.resets_at is None else _ms(change.resets_at),
                "seen_ms": _ms(change.seen),
                "changed": revision,
            }
        case Home():
            return {
                "key": change.key,
                "account_id": change.account_id,
                "since_ms": _ms(change.since),
                "used_ms": _ms(change.used),
                "changed": revision,
            }


def _cooldown(row: Any) -> Cooldown:
    until, since = row.until_ms / 1000, row.since_ms / 1000
    return Cooldown(row.account_id, row.model, until, row.reason, row.verified, row.streak, since)


def _usage(row: Any) -> Usage:
    resets_at = None if row.resets_at_ms is None else row.resets_at_ms / 1000
    return Usage(row.account_id, row.window, row.utilization, resets_at, row.seen_ms / 1000)


def _home(row: Any) -> Home:
    return Home(row.key, row.account_id, row.since_ms / 1000, row.used_ms / 1000)


def _ms(seconds: float) -> int:
    # Rounded up: a rest read back must not end earlier than it was meant to.
    return math.ceil(seconds * 1000)
