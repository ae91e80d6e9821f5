"""How much each account has served, as far as the history goes back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from codemie_core.store import tables


@dataclass(frozen=True, slots=True)
class Use:
    """Of one account, which the history knows by the name it had then."""

    turns: int
    recent: int
    """Those since the time asked for."""
    last_ms: int


def use_by_account(connection: Connection, since_ms: int) -> dict[str, Use]:
    """By name; one index has all of it."""
    table = tables.requests
    recent = func.sum(case((table.c.started_ms >= since_ms, 1), else_=0))
    query = (
        select(table.c.account, func.count(), recent, func.max(table.c.started_ms))
        .where(table.c.account != "")
        .group_by(table.c.account)
    )
    return {name: Use(int(turns), int(fresh), int(last)) for name, turns, fresh, last in connection.execute(query)}
