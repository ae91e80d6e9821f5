"""A home with a database and the keeper of one proxy in it; what happens there is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from codemie_core.accounts.account import Account
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.pool import Pool
from codemie_core.places import Places
from codemie_core.store.secrets import replace_secret
from codemie_core.vault_rotation import rotate
from support.stored import StoredHome

ENVIRON = {"CODEMIE_KEYRING": "0"}
URL = "https://api.anthropic.com"


class Home:
    """A stored home and the keeper of a proxy in it."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.environ = {**ENVIRON, **environ}
        self.stored = StoredHome(home, self.environ)
        self.pool = Pool()
        self.keeper = PoolKeeper(Places(home), self.environ, self.pool, "0123456789")
        self.changes = 0

    def changed(self) -> None:
        """Told by the keeper."""
        self.changes += 1

    def begin(self) -> None:
        """As a proxy does."""
        self.keeper.open()
        self.keeper.begin(self.changed)

    @property
    def names(self) -> list[str]:
        """Of the accounts in the pool."""
        return [account.name for account in self.pool.accounts]

    def account(self, name: str) -> Account:
        """As the pool has it."""
        return next(account for account in self.pool.accounts if account.name == name)

    async def secret(self, name: str) -> str:
        """What a request would bear."""
        return (await self.keeper.secret(self.account(name))).get_secret_value()

    def rests(self) -> dict[str, float]:
        """Account id -> until, as it is stored."""
        return {one.account_id: one.until for one in self.stored.state(0.0).cooldowns}

    def rotate(self) -> None:
        """As the command does."""
        stored = self.stored
        stored.write(lambda connection: rotate(connection, stored.places, self.environ, "a test", 1))

    def replace_secret(self, account: Account, secret: str) -> None:
        """Another key for it."""

        def work(connection: Connection) -> None:
            sealed = self.stored.vault(connection).seal(secret, f"account:{account.id}")
            replace_secret(connection, account.id, sealed, None)

        self.stored.write(work)


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that holds the database is noticed soon, and looked at again soon."""
    monkeypatch.setattr("codemie_core.store.database.BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr("codemie_core.store.worker.POLL", 0.05)
    monkeypatch.setattr("codemie_core.store.worker.RETRY", 0.1)
    monkeypatch.setattr("codemie_core.accounts.keeper.RETRY", 0.1)
    monkeypatch.setattr("codemie_core.accounts.keeper.LOOK", 0.05)
    # The end of a proxy is bounded. A machine that stalls is to lose nothing by that.
    monkeypatch.setattr("codemie_core.accounts.keeper.PATIENCE", 60.0)
    monkeypatch.setattr("codemie_core.store.shared.SharedStore.release.__defaults__", (60.0,))


async def until(seen: Callable[[], bool], within: float = 60.0) -> None:
    """Wait until it is so. TimeoutError when it does not come."""
    async with asyncio.timeout(within):
        while not seen():  # noqa: ASYNC110 - the store's thread does it
            await asyncio.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said that is more than information."""
    # psycopg says now and then what it passes over.
    ours = (record for record in caplog.records if not record.name.startswith("psycopg"))
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
