"""The accounts in the database, for whoever looks at them or changes them: by name, in order, with their states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemie_core.accounts.account import Account
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.state import Status
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

NONE_YET = "there are no accounts yet. Add one: codemie-proxy accounts add NAME --provider anthropic"
_OLD_EVENTS = 10_000


class NoSuchAccount(SettingsError):
    """Nobody goes by this name or id; the message names the nearest."""


def accounts(connection: Connection) -> list[Account]:
    """All of them, those that go first at the top."""
    from codemie_core.store.accounts import load_accounts

    return sorted(load_accounts(connection), key=lambda account: (account.priority, account.name))


def one(connection: Connection, name: str) -> Account:
    """The account of this name or id. NoSuchAccount names the nearest."""
    from codemie_core.store.accounts import find

    found = find(connection, name)
    if found is not None:
        return found
    names = [account.name for account in accounts(connection)]
    if not names:
        raise NoSuchAccount(NONE_YET)
    close = nearest(name, names)
    meant = f"did you mean {close!r}? " if close else ""
    raise NoSuchAccount(f"there is no account {name!r}; {meant}codemie-proxy accounts list shows all")


def past_id(connection: Connection, name: str) -> str:
    """The id of an account that is there, else of the last one of this name or id that was."""
    from codemie_core.store.accounts import find
    from codemie_core.store.audit import events

    found = find(connection, name)
    if found is not None:
        return found.id
    for event in events(connection, limit=_OLD_EVENTS):
        if event.account_id and name in (event.account_name, event.account_id):
            return event.account_id
    return one(connection, name).id


def statuses(connection: Connection, found: Sequence[Account], now: float) -> dict[str, Status]:
    """How they are, by id: what the pool of a proxy started now would say."""
    pool = stored_pool(connection, found, now)
    return {account.id: pool.status(account.id) for account in found}


def stored_pool(connection: Connection, found: Sequence[Account], now: float) -> Pool:
    """The pool of a proxy started now. Its clock stands still."""
    from codemie_core.store.pool import load_state

    pool = Pool(clock=lambda: now)
    pool.set_accounts(found)
    pool.restore(load_state(connection, now))
    return pool
