"""A home with one account that is signed in, and token keepers in it as proxies have them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.oauth.refresh import TokenKeeper
from codemie_core.oauth.tokens import Tokens
from codemie_core.store.database import Database, open_database
from codemie_core.store.secrets import replace_secret, sealed_secret, secret_versions
from codemie_core.store.worker import StoreWorker
from codemie_core.vault_rotation import rotate
from support.keeping import ENVIRON
from support.stored import StoredHome, new_account
from support.token_service import access, refresh

API = "http://127.0.0.1:9"

type Make = Callable[..., SignedIn]


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def tokens_of(generation: int, left: float = -1.0, lifetime: float = 3600.0, now: float | None = None) -> Tokens:
    """Those of the token service after so many refreshes, good for `left` seconds more."""
    end = (time.time() if now is None else now) + left
    return Tokens(SecretStr(access(generation)), SecretStr(refresh(generation)), end, end - lifetime, "", "lab")


class SignedIn:
    """`main` is its account. Every keeper has a store's thread of its own, like a process."""

    def __init__(self, home: Path, tokens: Tokens, base_url: str = API, **environ: str) -> None:
        self.environ = {**ENVIRON, **environ}
        self.stored = StoredHome(home, self.environ)
        self.places = self.stored.places
        main = new_account("main", base_url, "anthropic-compatible", kind=Kind.OAUTH)
        self.main: Account = self.stored.add(main, tokens.dump())
        self._open: list[tuple[TokenKeeper, StoreWorker, Database]] = []

    @property
    def tokens(self) -> Tokens:
        """As they are stored."""
        return Tokens.parse(self.stored.secret("main"))

    @property
    def account(self) -> Account:
        """As it is stored."""
        return next(account for account in self.stored.accounts() if account.id == self.main.id)

    @property
    def version(self) -> int:
        """Of the stored tokens."""
        found = self.stored.read(lambda connection: sealed_secret(connection, self.main.id))
        assert found is not None
        return found[1]

    def replace(self, tokens: Tokens) -> None:
        """As a new sign-in does."""

        def work(connection: Connection) -> None:
            sealed = self.stored.vault(connection).seal(tokens.dump(), f"account:{self.main.id}")
            replace_secret(connection, self.main.id, sealed, None)

        self.stored.write(work)

    def rotate(self) -> None:
        """Another key for the vault."""
        self.stored.write(lambda connection: rotate(connection, self.places, self.environ, "a test", 1))

    def keeper(self, **fields: Any) -> TokenKeeper:
        """One more; `end` ends them all."""
        database = open_database(self.places, self.environ)
        worker, door = StoreWorker(database), VaultDoor(self.places, self.environ)
        keeper = TokenKeeper(self.places, self.environ, door, worker.call, "a test", **fields)
        self._open.append((keeper, worker, database))
        return keeper

    def tell(self, keeper: TokenKeeper) -> None:
        """What a proxy tells it when the database has changed."""
        keeper.take(self.stored.accounts(), self.stored.read(secret_versions))

    async def end(self) -> None:
        """All keepers, as at the end of a proxy."""
        for keeper, worker, database in self._open:
            await keeper.end()
            await asyncio.to_thread(worker.close)
            database.close()
