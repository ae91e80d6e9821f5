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
from contextlib import suppress

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Source
from codemie_core.errors import CodemieError
from codemie_core.sso.keychain import Keychain, system_keychain

COMMAND_TIMEOUT = 5.0
"""Seconds that a command may take."""
LONGEST = 64 * 1024
"""Bytes that it may print."""

type FromVault = Callable[[Account], Awaitable[SecretStr]]


class SecretTrouble(CodemieError):
    """A secret that cannot be had; the message names account and source, never a value."""


class SecretShelf:
    """One per process."""

    def __init__(self, environ: Mapping[str, str], from_vault: FromVault, keychain: Keychain | None = None) -> None:
        self._environ, self._from_vault = environ, from_vault
        self._keychain = keychain
        self._kept: dict[str, SecretStr] = {}
        self._fetching: dict[str, asyncio.Task[SecretStr]] = {}

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
            running.add_done_callback(lambda task: self._done(account.id, task))
        return await asyncio.shield(running)

    def forget(self, account_id: str) -> None:
        """It was replaced: fetch it anew when it is asked for next, also when an older one is just being fetched."""
        self._kept.pop(account_id, None)
        self._fetching.pop(account_id, None)

    def _done(self, account_id: str, task: asyncio.Task[SecretStr]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._fetching.get(account_id) is not task:
            return  # Replaced meanwhile: good for those who wait for it, for nobody else.
        del self._fetching[account_id]
        if failed:
            self._kept.pop(account_id, None)
        else:
            self._kept[account_id] = task.result()

    async def _fetched(self, account: Account) -> SecretStr:
        text = (await self._fetch(account)).get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable():
            raise SecretTrouble(f"account {account.name}: {_place(account)} holds no usable secret")
        return SecretStr(text)

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
        program, *arguments = shlex.split(account.secret.place)
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
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
        async with asyncio.timeout(COMMAND_TIMEOUT):
            output = await _read(process)
            code = await process.wait() if output is not None else 0
    except TimeoutError:
        raise SecretTrouble(f"account {account.name}: its command took longer than {COMMAND_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            _end(process.pid)
            # This waits for the end of its output, too, which something that left the session may hold for long.
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 1.0)
            process._transport.close()  # type: ignore[attr-defined] # the only way to let go of that output
    if output is None:
        raise SecretTrouble(f"account {account.name}: its command prints more than {LONGEST // 1024} KiB")
    if code:
        raise SecretTrouble(f"account {account.name}: its command ended with {code}")
    return SecretStr(output.decode("utf-8", "replace"))


async def _read(process: asyncio.subprocess.Process) -> bytes | None:
    """All it prints; None when that is too much."""
    assert process.stdout is not None
    found = b""
    while part := await process.stdout.read(LONGEST):
        found += part
        if len(found) > LONGEST:
            return None
    return found


def _end(pid: int) -> None:
    """The command and whatever it started: it leads a session of its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It ended by itself just now.


def _place(account: Account) -> str:
    """Where its secret is, without what may be in a command line."""
    match account.secret.source:
        case Source.VAULT:
            return "the vault"
        case Source.COMMAND:
            return "its command"
        case Source.ENV | Source.KEYRING as source:
            return f"{source.value} {account.secret.place}"
