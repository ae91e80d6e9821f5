"""The accounts of the pool, for whoever looks: what the database has, and what the pool of this proxy knows better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from codemie_core.accounts.account import Account
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.roster import NONE_YET, accounts, one, stored_pool
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.admin.account_info import AccountInfo, Known
from codemie_core.admin.changing import has_store, looking, sentence
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound, Unavailable
from codemie_core.oauth.held import Held, sign_ins
from codemie_core.settings import nearest
from codemie_core.store.account_use import use_by_account

if TYPE_CHECKING:
    from sqlalchemy import Connection

RECENT = 5 * 3600.0
"""Seconds: the window in which providers count sessions."""


async def list_accounts(plane: Plane) -> list[AccountInfo]:
    """All of them, those that go first at the top. While the database is away, as this proxy knows them."""
    return [known.as_info() for known in await _known(plane, "")]


async def get_account(plane: Plane, name_or_id: str) -> AccountInfo:
    """One of them. NotFound names the nearest."""
    [known] = await _known(plane, name_or_id)
    return known.as_info()


def door_of(plane: Plane) -> VaultDoor:
    """The way into the vault: that of the pool, where there is one."""
    return plane.keeper.door if plane.keeper is not None else VaultDoor(plane.places, plane.environ)


async def _known(plane: Plane, name: str) -> list[Known]:
    if not has_store(plane):
        if name:
            raise NotFound(sentence(NONE_YET))
        return []
    try:
        found = await looking(plane, lambda connection: _stored(plane, connection, name))
    except Unavailable:
        if plane.pool is None or not plane.pool.accounts:
            raise
        return _in_memory(plane.pool, name, plane.clock())
    return [_fresher(plane.pool, known) for known in found]


def _stored(plane: Plane, connection: Connection, name: str) -> list[Known]:
    now = plane.clock()
    listed = accounts(connection)
    asked = [one(connection, name)] if name else listed
    pool = stored_pool(connection, listed, now)
    uses = use_by_account(connection, round((now - RECENT) * 1000))
    signed_in: dict[str, Held] = {
        held.account.id: held for held in sign_ins(connection, asked, door_of(plane).vault_for)
    }
    found = []
    for account in asked:
        known = _of_pool(pool, account, now)
        known.held = signed_in.get(account.id)
        known.use = uses.get(account.name, known.use)
        found.append(known)
    return found


def _of_pool(pool: Pool, account: Account, now: float) -> Known:
    return Known(account, pool.status(account.id), pool.windows(account.id), pool.resting(account.id), now)


def _fresher(pool: Pool | None, known: Known) -> Known:
    """What the pool of this proxy has not saved yet, or never saves; unless it has not heard of a change yet."""
    in_pool = _same(pool.accounts, known.account) if pool is not None else False
    if pool is None or not in_pool:
        return known
    fresher = _of_pool(pool, known.account, known.now)
    fresher.held, fresher.use = known.held, known.use
    return fresher


def _same(accounts: Sequence[Account], account: Account) -> bool:
    # The pool's proxies are signed in.
    bare = replace(account, outbound_proxy=None)
    return any(replace(other, outbound_proxy=None) == bare for other in accounts)


def _in_memory(pool: Pool, name: str, now: float) -> list[Known]:
    listed = sorted(pool.accounts, key=lambda account: (account.priority, account.name))
    asked = [account for account in listed if not name or name in (account.name, account.id)]
    if name and not asked:
        close = nearest(name, [account.name for account in listed])
        raise NotFound(f"There is no account {name!r}{f'; did you mean {close!r}?' if close else '.'}")
    return [_of_pool(pool, account, now) for account in asked]
