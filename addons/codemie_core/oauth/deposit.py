"""Getting tokens into the database and out of it, from the event loop, so that none is lost on the way.

A refresh token may be good for one use. So its heir goes to a file on the disk first, then into the database by
compare-and-set; then the file goes, then the lease, and only then has anybody the tokens. Killed at any step, the next
process finds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from codemie_core.accounts.account import Account
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.errors import SettingsError
from codemie_core.oauth import pending
from codemie_core.oauth.token_store import Stored, TokenStore
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places

if TYPE_CHECKING:
    from sqlalchemy import Connection

PATIENCE = 45.0
"""Seconds to wait for another process that renews."""
POLL = 0.15
RETRY, LONGEST_RETRY = 1.0, 30.0
"""Seconds between two tries to store what the database did not take."""

logger = logging.getLogger(__name__)


class Call(Protocol):
    """StoreWorker.call: in the store's thread, in a transaction. DatabaseTrouble when it cannot be done now."""

    def __call__(self, work: Callable[[Connection], Any], writing: bool = True) -> Awaitable[Any]: ...


class Deposit:
    """One per process. SettingsError means a database or a vault that cannot be used now."""

    def __init__(self, places: Places, door: VaultDoor, call: Call, store: TokenStore) -> None:
        self._places, self._door, self._call, self._store = places, door, call, store
        self._owed: dict[str, tuple[Stored, asyncio.Task[None]]] = {}

    def owed(self, account_id: str) -> Stored | None:
        """What the database has not taken yet."""
        owed = self._owed.get(account_id)
        return owed[0] if owed else None

    async def look(self, account: Account) -> Stored:
        """What is stored, or lies in a file. SecretTrouble when that is nothing."""
        if await asyncio.to_thread(pending.lying, self._places, account.id) is None:
            found: Stored = await self._call(lambda connection: self._store.found(connection, account), writing=False)
            return found
        return await self._settled(account, await self._call(lambda c: self._store.adopted(c, account)))

    async def lease(self, account: Account, will_do: Callable[[Tokens], bool]) -> tuple[Stored, bool]:
        """Wait until this process alone may renew (True), or somebody else has (False): what there is then will do."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE
        while True:
            mine, stored = await self._call(lambda connection: self._store.leased(connection, account))
            stored = await self._settled(account, stored)
            if will_do(stored.tokens):
                if mine:
                    await self.release(account)
                return stored, False
            if mine:
                return stored, True
            if loop.time() > give_up:
                raise SecretTrouble(f"account {account.name}: another process renews its sign-in, and does not end")
            await asyncio.sleep(POLL)

    async def release(self, account: Account) -> None:
        """Give the lease back; else it runs out by itself."""
        with suppress(SettingsError):
            await self._call(lambda connection: self._store.release(connection, account))

    async def put(self, account: Account, tokens: Tokens, former: Stored) -> Stored:
        """Store them, unless others were stored since `former`; what counts afterwards. Gives the lease back.

        What the database does not take now is kept, and tried until it does.
        """
        sealed = await asyncio.to_thread(self._write, account, tokens)
        try:
            stored: Stored = await self._call(lambda c: self._store.put(c, account, tokens, former.version))
        except SettingsError as problem:
            logger.warning("account %s: its renewed sign-in is not stored yet: %s", account.name, problem)
            stored = Stored(tokens, former.version)
            paying = asyncio.get_running_loop().create_task(self._pay(account, stored, sealed), name="store a sign-in")
            self._owed[account.id] = stored, paying
            return stored
        except SecretTrouble:
            await self._paid(account, sealed)
            raise
        await self._paid(account, sealed)
        return stored

    async def over(self, account: Account, code: str, former: Stored) -> Stored:
        """Flag the sign-in as over, unless there is another by now; what counts afterwards. Gives the lease back."""
        try:
            now = await self._call(lambda c: self._store.ended(c, account, code, former.version))
        finally:
            await self.release(account)
        return await self._settled(account, now)

    def end(self) -> None:
        """Try no more: what is not stored lies in its file."""
        for _, paying in self._owed.values():
            paying.cancel()

    def _write(self, account: Account, tokens: Tokens) -> bytes | None:
        vault = self._door.at_hand
        assert vault is not None  # It has opened the former ones.
        try:
            return pending.keep(self._places, vault, account.id, tokens)
        except SettingsError as problem:
            logger.warning("account %s: %s", account.name, problem)
            return None

    async def _pay(self, account: Account, owed: Stored, sealed: bytes | None) -> None:
        pause = RETRY
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)
            try:
                await self._call(lambda connection: self._store.put(connection, account, owed.tokens, owed.version))
            except SettingsError:
                continue
            except SecretTrouble:
                break  # The account is gone, and with it the reason to keep them.
            logger.warning("account %s: its renewed sign-in is stored now", account.name)
            break
        del self._owed[account.id]
        await self._paid(account, sealed)

    async def _paid(self, account: Account, sealed: bytes | None) -> None:
        # The lease goes last: before, nobody else writes this file.
        if sealed is not None:
            await asyncio.to_thread(pending.drop, self._places, account.id, sealed)
        await self.release(account)

    async def _settled(self, account: Account, stored: Stored) -> Stored:
        if stored.left_over is not None:
            await asyncio.to_thread(pending.drop, self._places, account.id, stored.left_over)
        return stored
