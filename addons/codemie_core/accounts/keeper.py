"""The pool and the database together: loaded before the proxy runs, kept in step with others, saved as it goes.

Requests only ever look at the pool in memory. What they change is written by the store's thread within a tenth of a
second; what other processes change (accounts, pauses, cooldowns, conversations) is here within one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.loaded import Loaded, load, open_store
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.secrets import SecretShelf, SecretTrouble
from codemie_core.accounts.state import Change, PoolState
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.accounts.words import NO_SECRET
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import DatabaseTrouble, store_exists
from codemie_core.store.shared import SharedStore
from codemie_core.vault import Vault, VaultError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.oauth.refresh import TokenKeeper
    from codemie_core.store.worker import StoreWorker

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks for a database that is not there yet."""
SAVE = 0.1
"""Seconds for which changes are collected."""
RETRY = 1.0
"""Seconds before a database in trouble, or a vault that does not open, is looked at again."""
PATIENCE = 3.0
"""Seconds for a database that is just being opened when the proxy ends."""


class PoolKeeper:
    """One per process. `open` and `begin` once each, `end` at the end."""

    def __init__(self, places: Places, environ: Mapping[str, str], pool: Pool, run_id: str) -> None:
        self.pool = pool
        self.settings: Mapping[str, object] = {}
        """Settings changed by command, by name."""
        self.trouble = ""
        """Why the pool cannot be trusted; "" when it can."""
        self.tokens: TokenKeeper | None = None
        """Keeps sign-ins alive, once there is an account with one."""
        self.ca_file = ""
        """Further authorities that calls to sign-in services trust."""
        self._places, self._environ, self._who = places, environ, f"proxy {run_id[:8]}"
        self.door = VaultDoor(places, environ)
        self._shelf = SecretShelf(environ, self._from_vault)
        self._store: SharedStore | None = None
        self._worker: StoreWorker | None = None
        self._versions: Mapping[str, int] = {}
        self._keys: Mapping[str, bytes] = {}
        self._changed: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._saving: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._revision = self._accounts_revision = 0
        self._news = asyncio.Event()
        self._known = 0
        """The revision of the accounts that the pool has."""
        self._locked_out = ""
        """Why news could not be read in full: what the vault said."""

    def open(self) -> None:
        """Before the proxy runs: load what there is. SettingsError when there is something that cannot be used."""
        if store_exists(self._places, self._environ):
            self._take_all(*self._opened())

    def begin(self, changed: Callable[[], None]) -> None:
        """Keep in step from now on; `changed` is called on the loop after accounts or settings were reloaded."""
        self._changed, self._loop = changed, asyncio.get_running_loop()
        if self._store is not None:
            self._work()
        else:
            self._watching = self._loop.create_task(self._await_database(), name="await accounts")

    async def end(self) -> None:
        """Save what is left, within the store's bound."""
        self._ending.set()
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=PATIENCE)
            self._watching.cancel()
        if self._saving is not None:
            self._saving.cancel()
        if self.tokens is not None:
            await self.tokens.end()
        if (worker := self._worker) is not None:
            while changes := self.pool.drain(everything=True):
                self._post(worker, changes)
            worker.on_revision(0, None)
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.release)

    @property
    def worker(self) -> StoreWorker | None:
        """The store's thread, once there is a store."""
        return self._worker

    @property
    def vault(self) -> Vault | None:
        """As it was opened last; None while nothing is sealed. `door.vault_for` is the one to seal with."""
        return self.door.at_hand

    def secret_at_hand(self, account: Account) -> SecretStr | None:
        """The account's secret without waiting; None when it has to be fetched."""
        if account.kind is Kind.OAUTH:
            return self.tokens.at_hand(account) if self.tokens is not None else None
        return self._shelf.at_hand(account)

    async def secret(self, account: Account, refresh: bool = False) -> SecretStr:
        """The account's secret; with `refresh` a new one. SecretTrouble when it cannot be had."""
        if account.kind is Kind.OAUTH:
            if self.tokens is None:
                raise SecretTrouble(f"account {account.name}: the database is not open")
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

    async def change[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Change accounts, for all proxies: `work` is done in one transaction, in the store's thread.

        The pool of this process has it when this returns. DatabaseTrouble where there is no database.
        """
        from codemie_core.store.database import accounts_revision

        if self._worker is None:
            raise DatabaseTrouble("there are no accounts yet: codemie-proxy accounts add")
        result, revision = await self._worker.call(lambda connection: (work(connection), accounts_revision(connection)))
        await self.has(revision)
        return result

    async def has(self, revision: int, within: float = PATIENCE) -> bool:
        """Wait until the pool has the accounts of this revision of the database, at most so many seconds."""
        if self._loop is None:
            return False
        if self._worker is not None:
            self._worker.look()
        try:
            async with asyncio.timeout(within):
                while self._known < revision:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _tell(self, revision: int) -> None:
        """Those who wait in `has`."""
        self._known = revision
        self._news.set()
        self._news = asyncio.Event()

    async def _from_vault(self, account: Account) -> SecretStr:
        sealed = self._keys.get(account.id)
        # Unless it was found bad: an account has to take over from another also while the database is away.
        if sealed and not self._shelf.at_hand(account) and (found := self.door.opened(account, sealed)):
            return found
        if (worker := self._worker) is None:
            raise SecretTrouble(f"account {account.name}: the database is not open")
        try:
            found = await worker.call(lambda connection: self.door.secret_of(connection, account), writing=False)
        except (DatabaseTrouble, VaultError) as problem:
            raise SecretTrouble(f"account {account.name}: {problem}") from None
        if found is None:
            raise SecretTrouble(f"account {account.name}: the vault holds nothing for it")
        return found

    def _opened(self) -> tuple[SharedStore, Loaded]:
        """Off the loop, once it runs."""
        store = open_store(self._places, self._environ)
        try:
            with store.database.reading() as connection:
                loaded = load(connection, None, time.time())
                if loaded.sealed:
                    self.door.vault_for(connection)
                accounts = self.door.with_proxies(connection, loaded.accounts)
        except BaseException:
            store.release()
            raise
        return store, replace(loaded, accounts=accounts)

    def _take_all(self, store: SharedStore, loaded: Loaded) -> None:
        self._store = store
        self.pool.set_accounts(loaded.accounts)
        self.pool.restore(loaded.state)
        self.settings, self._versions, self._keys = loaded.settings, loaded.versions, loaded.keys
        self._revision, self._accounts_revision = loaded.revision, loaded.accounts_revision
        self._tell(loaded.accounts_revision)

    async def _await_database(self) -> None:
        while not await self._is_ending(LOOK):
            if not store_exists(self._places, self._environ):
                continue
            try:
                store, loaded = await asyncio.to_thread(self._opened)
            except Exception as problem:
                # Whatever it was: there may be accounts, and nobody can read them.
                self._distrust(str(problem) if isinstance(problem, SettingsError) else type(problem).__name__)
                continue
            if self._ending.is_set():
                await asyncio.to_thread(store.release)
                return
            self.trouble = ""
            self._take_all(store, loaded)
            self._work()
            self._changed()
            return

    async def _is_ending(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                return await self._ending.wait()
        except TimeoutError:
            return False

    def _distrust(self, trouble: str) -> None:
        if trouble != self.trouble:
            logger.error("The accounts cannot be used: %s", trouble)
            self.trouble = trouble
            self._changed()

    def _work(self) -> None:
        assert self._store is not None
        self._worker = self._store.worker
        self._worker.on_revision(self._revision, self._reload)
        self._keep_signed_in(self._worker)

    def _keep_signed_in(self, worker: StoreWorker) -> None:
        """From the first account with a sign-in on."""
        if self.tokens is None and any(account.kind is Kind.OAUTH for account in self.pool.accounts):
            from codemie_core.oauth.refresh import TokenKeeper

            self.tokens = TokenKeeper(
                self._places, self._environ, self.door, worker.call, self._who, ca_file=lambda: self.ca_file
            )
        if self.tokens is not None:
            self.tokens.take(self.pool.accounts, self._versions)

    def _reload(self, seen: int) -> None:
        """In the store's thread: read what is new since `seen`, and hand it to the loop."""
        from codemie_core.store.database import accounts_revision, revision_of
        from codemie_core.store.pool import state_since

        assert self._loop is not None
        if (store := self._store) is None:
            return
        with store.database.reading() as connection:
            if accounts_revision(connection) == self._accounts_revision:
                self._loop.call_soon_threadsafe(self._take_state, state_since(connection, seen))
                return
            # A database that was restored from a backup counts from there again.
            loaded = load(connection, seen if revision_of(connection) >= seen else None, time.time())
            try:
                if loaded.sealed:
                    self.door.vault_for(connection)
                loaded = replace(loaded, accounts=self.door.with_proxies(connection, loaded.accounts))
            except VaultError as problem:
                loaded = replace(loaded, accounts=self.door.with_proxies_at_hand(loaded.accounts))
                self._loop.call_soon_threadsafe(self._shut_out, seen, str(problem))
            else:
                self._accounts_revision, self._locked_out = loaded.accounts_revision, ""
        self._loop.call_soon_threadsafe(self._take_news, loaded)

    def _shut_out(self, seen: int, why: str) -> None:
        """The vault does not open any more: what is in memory serves on, and it is tried again."""
        if why != self._locked_out:
            logger.error("Secrets of accounts cannot be read: %s", why)
            self._locked_out = why
        if self._loop is not None and self._worker is not None and not self._ending.is_set():
            self._loop.call_later(RETRY, self._worker.on_revision, seen, self._reload)

    def _take_state(self, state: PoolState) -> None:
        self.pool.merge(state)

    def _take_news(self, loaded: Loaded) -> None:
        before = {account.id: account.secret for account in self.pool.accounts}
        for account in loaded.accounts:
            replaced = self._versions.get(account.id) != loaded.versions.get(account.id)
            if replaced or before.get(account.id) != account.secret:
                self._shelf.forget(account.id)
                self.pool.regained(account.id, NO_SECRET)
        self.pool.set_accounts(loaded.accounts)
        self.settings, self._versions, self._keys = loaded.settings, loaded.versions, loaded.keys
        if self._worker is not None:
            self._keep_signed_in(self._worker)
        self._take_state(loaded.state)
        self._changed()
        self._tell(loaded.accounts_revision)

    def _save(self) -> None:
        self._saving = None
        worker = self._worker
        if worker is None or self._loop is None:
            return
        if worker.trouble:
            # The pool keeps one change for each thing that changes; the store's queue would keep them all.
            self._saving = self._loop.call_later(RETRY, self._save)
        elif changes := self.pool.drain():
            self._post(worker, changes)
            self.note()  # It gives only so many at a time.

    def _post(self, worker: StoreWorker, changes: list[Change]) -> None:
        from codemie_core.store.pool import save_changes

        worker.post(lambda connection: save_changes(connection, changes, self._who))
