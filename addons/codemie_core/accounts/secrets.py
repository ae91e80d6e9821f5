"""Getting an account's secret from where it is: vault, environment, a command, the keyring.

A request asks `at_hand` first, which is a look into a dictionary; only what is not there is fetched, off the loop.
Values are kept in memory until somebody says that they are no good any more.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Mapping

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Source
from codemie_core.errors import CodemieError
from codemie_core.sso.keychain import Keychain, system_keychain

COMMAND_TIMEOUT = 5.0
"""Seconds that a command may take."""
LONGEST = 64 * 1024

type FromVault = Callable[[Account], Awaitable[SecretStr]]


class SecretTrouble(CodemieError):
    """A secret that cannot be had; the message names account and source, never a value."""


class SecretShelf:
    """One per process."""

    def __init__(self, environ: Mapping[str, str], from_vault: FromVault, keychain: Keychain | None = None) -> None:
        self._environ, self._from_vault = environ, from_vault
        self._keychain = keychain
        self._kept: dict[str, SecretStr] = {}
        self._fetching: dict[str, asyncio.Future[SecretStr]] = {}

    def at_hand(self, account: Account) -> SecretStr | None:
        """The secret, if it was fetched before."""
        return self._kept.get(account.id)

    async def secret(self, account: Account, fresh: bool = False) -> SecretStr:
        """The secret, fetched if need be; with `fresh` in any case. SecretTrouble when it cannot be had."""
        if not fresh and (kept := self._kept.get(account.id)):
            return kept
        running = self._fetching.get(account.id)
        if running is None:
            # Callers that come meanwhile wait for the same one; one that leaves does not end it for the others.
            running = self._fetching[account.id] = asyncio.get_running_loop().create_task(self._fetched(account))
            running.add_done_callback(lambda _: self._fetching.pop(account.id, None))
        return await asyncio.shield(running)

    def forget(self, account_id: str) -> None:
        """It was replaced: fetch it anew when it is asked for next."""
        self._kept.pop(account_id, None)

    async def _fetched(self, account: Account) -> SecretStr:
        try:
            found = await self._fetch(account)
        except SecretTrouble:
            self._kept.pop(account.id, None)
            raise
        text = found.get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable():
            self._kept.pop(account.id, None)
            raise SecretTrouble(f"account {account.name}: {_place(account)} holds no usable secret")
        secret = self._kept[account.id] = SecretStr(text)
        return secret

    async def _fetch(self, account: Account) -> SecretStr:
        match account.secret.source:
            case Source.VAULT:
                return await self._from_vault(account)
            case Source.ENV:
                value = self._environ.get(account.secret.place)
                if value is None:
                    raise SecretTrouble(
                        f"account {account.name}: {account.secret.place} is not set where the proxy was started"
                    )
                return SecretStr(value)
            case Source.COMMAND:
                return await _from_command(account, self._environ)
            case Source.KEYRING:
                return await asyncio.to_thread(self._from_keyring, account)

    def _from_keyring(self, account: Account) -> SecretStr:
        keychain = self._keychain or system_keychain(self._environ)
        text = keychain.read([account.secret.place]).get(account.secret.place) if keychain else None
        if text is None:
            why = "has no such entry" if keychain else "does not answer here"
            raise SecretTrouble(f"account {account.name}: the keyring {why} ({account.secret.place})")
        return SecretStr(text)


async def _from_command(account: Account, environ: Mapping[str, str]) -> SecretStr:
    """Its standard output. No shell; what it says on its error output may hold anything and is thrown away."""
    try:
        words = shlex.split(account.secret.place)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or "not a command line"
        raise SecretTrouble(f"account {account.name}: its command cannot be run: {why}") from None
    try:
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT)
    except TimeoutError:
        raise SecretTrouble(f"account {account.name}: its command took longer than {COMMAND_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            _end(process.pid)
            await process.wait()
    if process.returncode:
        raise SecretTrouble(f"account {account.name}: its command ended with {process.returncode}")
    return SecretStr(output[:LONGEST].decode("utf-8", "replace"))


def _end(pid: int) -> None:
    """The command and whatever it started: it leads a session of its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It ended by itself just now.


def _place(account: Account) -> str:
    if account.secret.source is Source.VAULT:
        return "the vault"
    return (
        f"{account.secret.source.value} {account.secret.place}"
        if account.secret.source is Source.ENV
        else (f"its {account.secret.source.value}")
    )
