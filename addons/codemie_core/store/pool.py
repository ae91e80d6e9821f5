"""What the pool remembers, as rows: cooldowns, utilization, and which account each conversation lives on.

Of two words about one thing the newer counts, whichever process it comes from. When an account begins to rest and when
it is usable again, the audit trail says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from codemie_core.accounts.state import Change, Cooldown, Home, PoolState, Usage
from codemie_core.store import tables
from codemie_core.store.audit import record
from codemie_core.store.database import bump, revision_of

MOST_HOMES = 100_000
RESTS, USABLE = "rests", "usable again"
"""The audit trail's words for a cooldown's begin and end."""
_FORGOTTEN = 24 * 3600.0
"""Seconds after which a conversation nobody used, or a cooldown that is over, may go."""
_RESTS_KEPT = 7 * _FORGOTTEN
"""Seconds after which the audit trail drops cooldowns. What people did stays."""
_PRUNED_EVERY = 500
"""Revisions."""
_PAGES = 2_000
"""Given back to the file system at a time."""
_SLACK = 0.001
"""Milliseconds: a time that was whole in the database is whole again, in spite of floating point."""


def save_changes(
    connection: Connection,
    changes: Sequence[Change],
    who: str = "proxy",
    clock: Callable[[], float] = time.time,
) -> int:
    """Store them under one new revision, which is returned. Those about an account that was removed are dropped."""
    if not changes:
        return revision_of(connection)
    revision = bump(connection, accounts=False)
    if revision % _PRUNED_EVERY == 0:
        prune(connection, clock())
    known = {row.id: row.name for row in connection.execute(select(tables.accounts.c.id, tables.accounts.c.name))}
    fresh = [change for change in changes if change.account_id in known]
    _audit(connection, [change for change in fresh if isinstance(change, Cooldown)], known, who)
    for table, kind in ((tables.cooldowns, Cooldown), (tables.utilization, Usage), (tables.conversations, Home)):
        rows = [_row(change, revision) for change in fresh if isinstance(change, kind)]
        if rows:
            _upsert(connection, table, rows)
    return revision


def end_rests(connection: Connection, account_id: str, who: str, now: float, verified: bool = True) -> None:
    """What an account's old secret had run into says nothing about a new one. Without `verified` only guesses end."""
    resting = [
        rest
        for rest in load_state(connection, now).cooldowns
        if rest.account_id == account_id and (verified or not rest.verified)
    ]
    save_changes(connection, [replace(rest, until=now, since=now, streak=0) for rest in resting], who)


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
    """Delete what `load_state` passes over, and old rests in the audit trail. How many conversations went.

    Of those at most so many at a time: others wait meanwhile. Happens by itself now and then.
    """
    homes, rests, events = tables.conversations, tables.cooldowns, tables.account_events
    oldest = _ms(now - _FORGOTTEN)
    connection.execute(delete(rests).where(rests.c.until_ms <= oldest, rests.c.since_ms <= oldest))
    old_rests = and_(events.c.event.in_((RESTS, USABLE)), events.c.at_ms <= _ms(now - _RESTS_KEPT))
    connection.execute(delete(events).where(old_rests))
    old = select(homes.c.key).where(homes.c.used_ms <= oldest).limit(most)
    gone = connection.execute(delete(homes).where(homes.c.key.in_(old))).rowcount
    if connection.dialect.name == "sqlite" and (driver := connection.connection.driver_connection):
        # It gives back one page for each row that is fetched; SQLAlchemy would fetch none.
        driver.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return gone


def _audit(connection: Connection, changes: Sequence[Cooldown], names: Mapping[str, str], who: str) -> None:
    """A row where an account, or a model on it, begins to rest or is usable again; none where a rest goes on."""
    if not changes:
        return
    table = tables.cooldowns
    concerned = table.c.account_id.in_({change.account_id for change in changes})
    known = {
        (one.account_id, one.model): one for one in map(_cooldown, connection.execute(select(table).where(concerned)))
    }
    for change in sorted(changes, key=lambda change: change.since):
        former = known.get((change.account_id, change.model))
        if former is not None and former.since > change.since:
            continue
        known[change.account_id, change.model] = change
        resting = former is not None and former.until > change.since and not former.over
        if change.over and former is not None and not former.over:
            event, reason = USABLE, change.model
        elif not change.over and not resting:
            event, reason = RESTS, f"{change.reason} ({change.model})" if change.model else change.reason
        else:
            continue
        name, since = names[change.account_id], change.since
        record(connection, change.account_id, name, event, reason, who, clock=partial(float, since))


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
                "until_ms": _ms(change.since) if change.over else _ms_after(change.until),
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
                "resets_at_ms": None if change.resets_at is None else _ms_after(change.resets_at),
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
    # Rounded down: a process that reads back what it wrote must not take it for something newer.
    return math.floor(seconds * 1000 + _SLACK)


def _ms_after(seconds: float) -> int:
    # Rounded up: a rest must not end earlier than it was meant to.
    return math.ceil(seconds * 1000 - _SLACK)
