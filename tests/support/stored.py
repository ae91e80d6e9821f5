"""A home with a database, a vault and accounts in it: what a proxy started there finds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.state import PoolState
from codemie_core.places import Places
from codemie_core.store.accounts import add_account, change_account, find, load_accounts
from codemie_core.store.audit import Event, events
from codemie_core.store.database import Database, open_database
from codemie_core.store.place import store_exists
from codemie_core.store.pool import load_state
from codemie_core.store.secrets import sealed_secret, set_vault_checks, vault_checks
from codemie_core.vault import Vault, open_vault
from support.prepared import prepare_file

WHO = "a test"
PATIENCE = 60.0
"""Seconds that a test waits for a proxy that writes."""


def new_account(name: str, base_url: str, provider: str = "anthropic", **fields: Any) -> Account:
    """An API-key account; `fields` are those of Account."""
    fields = {"kind": Kind.API_KEY, "id": str(uuid.uuid4()), **fields}
    return Account(name=name, provider=provider, base_url=base_url, **fields)


class StoredHome:
    """One home's database, opened for each question, so that nothing is held while a proxy uses it."""

    def __init__(self, home: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.places = Places(home)
        self.environ = dict(environ)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Opened, made if it is not there, and closed."""
        if not store_exists(self.places, self.environ):
            prepare_file(self.places)
        database = open_database(self.places, self.environ)
        try:
            yield database
        finally:
            database.close()

    def write[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Do it in one transaction, however short the patience of the proxies is."""
        with self.database() as database, database.writing(PATIENCE) as connection:
            return work(connection)

    def read[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Ask it."""
        with self.database() as database, database.reading() as connection:
            return work(connection)

    def vault(self, connection: Connection) -> Vault:
        """The home's vault, made with the first secret; without a keyring unless the environment has one."""
        known = vault_checks(connection)
        vault = open_vault(self.places, self.environ, known, may_create=True)
        if not known:
            set_vault_checks(connection, {vault.key_id: vault.check()}, 0)
        return vault

    def add(self, account: Account, secret: str = "") -> Account:
        """Add it, with its secret in the vault unless that is empty, and so its outbound proxy's password."""
        way = account.outbound_proxy
        password = way.authorization.get_secret_value() if way is not None and way.authorization is not None else ""

        def work(connection: Connection) -> None:
            sealed = self.vault(connection).seal(secret, f"account:{account.id}") if secret else None
            sealed_proxy = self.vault(connection).seal(password, f"proxy:{account.id}") if password else None
            add_account(connection, account, sealed, WHO, sealed_proxy)

        self.write(work)
        return account

    def key(self, name: str, base_url: str, secret: str, **fields: Any) -> Account:
        """Add an API-key account of this name."""
        return self.add(new_account(name, base_url, **fields), secret)

    def change(self, name: str, event: str = "changed", **fields: Any) -> None:
        """Set fields of an account, as a command would: `change("main", "paused", paused="holidays")`."""

        def work(connection: Connection) -> None:
            change_account(connection, self._id(connection, name), event, "", WHO, **fields)

        self.write(work)

    def accounts(self) -> list[Account]:
        """All."""
        return self.read(load_accounts)

    def secret(self, name: str) -> str:
        """What the vault has for this account; "" for nothing."""

        def work(connection: Connection) -> str:
            account_id = self._id(connection, name)
            found = sealed_secret(connection, account_id)
            return self.vault(connection).open(found[0], f"account:{account_id}").get_secret_value() if found else ""

        return self.read(work)

    def state(self, now: float) -> PoolState:
        """What a pool started now would be given."""
        return self.read(lambda connection: load_state(connection, now))

    def events(self, name: str = "") -> list[Event]:
        """The audit trail, oldest first; of one account or of all."""
        found = self.read(lambda connection: events(connection, limit=1_000))
        return [event for event in reversed(found) if not name or event.account_name == name]

    def _id(self, connection: Connection, name: str) -> str:
        account = find(connection, name)
        assert account is not None, f"no account {name}"
        return account.id
