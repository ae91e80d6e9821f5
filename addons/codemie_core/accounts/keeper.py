"""The pool and the database together: loaded before the proxy runs, kept in step with others, saved as it goes.

Requests only ever look at the pool in memory. What they change is written by the store's thread within a tenth of a
second; what other processes change (accounts, pauses, cooldowns, conversations) is here within one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.secrets import SecretShelf, SecretTrouble
from codemie_core.accounts.state import Change, PoolState
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import store_exists
from codemie_core.vault import Vault, VaultError, open_vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.database import Database
    from codemie_core.store.worker import StoreWorker

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks for a database that is not there yet."""
SAVE = 0.1
"""Seconds for which changes are collected."""


class Tokens(Protocol):
    """Who keeps the sign-ins of OAuth accounts alive (oauth/refresh.py)."""

    async def access_token(self, account: Account, force: bool = False) -> SecretStr:
        """A token that is good now. SecretTrouble when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the database holds, or what of it is new."""

    revision: int
    accounts_revision: int
    accounts: tuple[Account, ...]
    settings: Mapping[str, object]
    versions: Mapping[str, int]
    """Account id -> version of its secret."""
    state: PoolState
    checks: Mapping[str, bytes] = field(default_factory=dict)


class PoolKeeper:
    """One per process. `open` and `begin` once each, `end` at the end."""

    def __init__(self, places: Places, environ: Mapping[str, str], pool: Pool, run_id: str) -> None:
        self.pool = pool
        self.settings: Mapping[str, object] = {}
        """Settings changed by command, by name."""
        self.trouble = ""
        """Why the pool cannot be trusted; "" when it can."""
        self.tokens: Tokens | None = None
        self._places, self._environ, self._who = places, environ, f"proxy {run_id[:8]}"
        self._shelf = SecretShelf(environ, self._from_vault)
        self._database: Database | None = None
        self._worker: StoreWorker | None = None
        self._vault: Vault | None = None
        self._versions: Mapping[str, int] = {}
        self._changed: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None
        self._saving: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._revision = self._accounts_revision = 0

    def open(self) -> None:
        """Before the proxy runs: load what there is. SettingsError when there is something that cannot be used."""
        if store_exists(self._places, self._environ):
            self._database, self._vault, loaded = self._opened()
            self._take_all(loaded)

    def begin(self, changed: Callable[[], None]) -> None:
        """Keep in step from now on; `changed` is called on the loop after anything was reloaded."""
        self._changed, self._loop = changed, asyncio.get_running_loop()
        if self._database is not None:
            self._work()
        else:
            self._watching = self._loop.create_task(self._await_database(), name="await accounts")

    async def end(self) -> None:
        """Save what is left, within the store's bound."""
        if self._watching is not None:
            self._watching.cancel()
        if self._saving is not None:
            self._saving.cancel()
        if (worker := self._worker) is not None:
            while changes := self.pool.drain(everything=True):
                self._post(worker, changes)
            await asyncio.to_thread(worker.close)
        if self._database is not None:
            self._database.close()

    @property
    def worker(self) -> StoreWorker | None:
        """The store's thread, once there is a store."""
        return self._worker

    @property
    def vault(self) -> Vault | None:
        """The open vault; None while nothing is sealed."""
        return self._vault

    def secret_at_hand(self, account: Account) -> SecretStr | None:
        """The account's secret without waiting; None when it has to be fetched, as OAuth tokens always are."""
        return None if account.kind is Kind.OAUTH else self._shelf.at_hand(account)

    async def secret(self, account: Account, refresh: bool = False) -> SecretStr:
        """The account's secret; with `refresh` a new one. SecretTrouble when it cannot be had."""
        if account.kind is Kind.OAUTH:
            if self.tokens is None:
                raise SecretTrouble(f"account {account.name}: sign-ins need codemie-proxy[oauth]")
            return await self.tokens.access_token(account, refresh)
        return await self._shelf.secret(account, refresh)

    def note(self) -> None:
        """The pool has learnt something: save it soon."""
        if self._saving is None and self._loop is not None and self._worker is not None:
            self._saving = self._loop.call_later(SAVE, self._save)

    async def act(self, name_or_id: str, action: str, value: object, reason: str, who: str) -> None:
        """Pause, resume or give another priority, for all proxies. SettingsError when there is no such account."""
        from codemie_core.store.accounts import change_account, find

        fields: dict[str, object] = {action: value}
        if action in ("pause", "resume"):
            fields = {"paused": reason if action == "pause" else None}
        event = {"pause": "paused", "resume": "resumed"}.get(action, action)

        def change(connection: Connection) -> None:
            account = find(connection, name_or_id)
            if account is None:
                raise SettingsError(f"there is no account {name_or_id!r}: codemie.accounts.list shows all")
            change_account(connection, account.id, event, reason or str(value or ""), who, **fields)

        if self._worker is None:
            raise SettingsError("there are no accounts yet: codemie-proxy accounts add")
        await self._worker.call(change)

    async def _from_vault(self, account: Account) -> SecretStr:
        from codemie_core.store.secrets import sealed_secret

        worker, vault = self._worker, self._vault
        if worker is None or vault is None:
            raise SecretTrouble(f"account {account.name}: the vault is not open")
        found = await worker.call(lambda connection: sealed_secret(connection, account.id), writing=False)
        if found is None:
            raise SecretTrouble(f"account {account.name}: the vault holds nothing for it")
        try:
            return vault.open(found[0], f"account:{account.id}")
        except VaultError as problem:
            raise SecretTrouble(f"account {account.name}: {problem}") from None

    def _opened(self) -> tuple[Database, Vault | None, Loaded]:
        from codemie_core.access.client_keys import KeyStore
        from codemie_core.store.client_keys import import_keys
        from codemie_core.store.database import open_database

        database = open_database(self._places, self._environ)
        try:
            if not database.read_only_because:
                with database.writing() as connection:
                    import_keys(connection, KeyStore(self._places).ring())
            else:
                logger.warning("%s", database.read_only_because)
            with database.reading() as connection:
                loaded = self._with_proxies(connection, self._load(connection, None), None)
                vault = self._vault_for(loaded)
                loaded = self._with_proxies(connection, loaded, vault)
        except BaseException:
            database.close()
            raise
        return database, vault, loaded

    def _vault_for(self, loaded: Loaded) -> Vault | None:
        sealed = bool(loaded.versions) or any(one.secret.source is Source.VAULT for one in loaded.accounts)
        if not sealed and not loaded.checks:
            return None
        return open_vault(self._places, self._environ, loaded.checks)

    def _load(self, connection: Connection, since: int | None) -> Loaded:
        from time import time

        from codemie_core.store.accounts import load_accounts
        from codemie_core.store.database import accounts_revision, revision_of
        from codemie_core.store.pool import load_state, state_since
        from codemie_core.store.secrets import secret_versions, vault_checks
        from codemie_core.store.settings import load_settings

        return Loaded(
            revision=revision_of(connection),
            accounts_revision=accounts_revision(connection),
            accounts=tuple(load_accounts(connection)),
            settings=load_settings(connection),
            versions=secret_versions(connection),
            state=load_state(connection, time()) if since is None else state_since(connection, since),
            checks=vault_checks(connection),
        )

    def _with_proxies(self, connection: Connection, loaded: Loaded, vault: Vault | None) -> Loaded:
        from dataclasses import replace

        from codemie_core.store.accounts import sealed_proxies, with_proxy_secret

        if vault is None:
            return loaded
        sealed = sealed_proxies(connection)
        accounts = tuple(
            with_proxy_secret(one, vault.open(sealed[one.id], f"proxy:{one.id}")) if one.id in sealed else one
            for one in loaded.accounts
        )
        return replace(loaded, accounts=accounts)

    def _take_all(self, loaded: Loaded) -> None:
        self.pool.set_accounts(loaded.accounts)
        self.pool.restore(loaded.state)
        self._remember(loaded)

    def _remember(self, loaded: Loaded) -> None:
        self.settings, self._versions = loaded.settings, loaded.versions
        self._revision, self._accounts_revision = loaded.revision, loaded.accounts_revision

    async def _await_database(self) -> None:
        while self._database is None:
            await asyncio.sleep(LOOK)
            if not store_exists(self._places, self._environ):
                continue
            try:
                self._database, self._vault, loaded = await asyncio.to_thread(self._opened)
            except SettingsError as problem:
                if not self.trouble:
                    logger.error("The accounts cannot be used: %s", problem)
                self.trouble = str(problem)
                self._changed()
                continue
            self.trouble = ""
            self._take_all(loaded)
            self._work()
            self._changed()

    def _work(self) -> None:
        from codemie_core.store.worker import StoreWorker

        assert self._database is not None
        self._worker = StoreWorker(self._database)
        self._worker.on_revision(self._revision, self._reload)

    def _reload(self, seen: int) -> None:
        """In the store's thread: read what is new since `seen`, and hand it to the loop."""
        from codemie_core.store.database import accounts_revision
        from codemie_core.store.pool import state_since

        assert self._database is not None
        assert self._loop is not None
        with self._database.reading() as connection:
            if accounts_revision(connection) == self._accounts_revision:
                self._loop.call_soon_threadsafe(self._take_state, state_since(connection, seen))
                return
            loaded, vault = self._load(connection, seen), self._vault
            if vault is None or not vault.key_ids >= loaded.checks.keys():
                vault = self._vault_for(loaded)
            loaded = self._with_proxies(connection, loaded, vault)
        self._accounts_revision = loaded.accounts_revision
        self._loop.call_soon_threadsafe(self._take_news, loaded, vault)

    def _take_state(self, state: PoolState) -> None:
        self.pool.merge(state)
        self._changed()

    def _take_news(self, loaded: Loaded, vault: Vault | None) -> None:
        self._vault = vault
        before = {account.id: account.secret for account in self.pool.accounts}
        for account in loaded.accounts:
            replaced = self._versions.get(account.id) != loaded.versions.get(account.id)
            if replaced or before.get(account.id) != account.secret:
                self._shelf.forget(account.id)
        self.pool.set_accounts(loaded.accounts)
        self._remember(loaded)
        self._take_state(loaded.state)

    def _save(self) -> None:
        self._saving = None
        worker, changes = self._worker, self.pool.drain()
        if worker is not None and changes:
            self._post(worker, changes)
            self.note()  # It gives only so many at a time.

    def _post(self, worker: StoreWorker, changes: list[Change]) -> None:
        from codemie_core.store.pool import save_changes

        worker.post(lambda connection: save_changes(connection, changes, self._who))
