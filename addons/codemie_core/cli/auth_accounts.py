"""`codemie-proxy auth` for accounts with a sign-in of their own: providers, status, refresh, logout."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import typer
from pydantic import SecretStr

from codemie_core.accounts import words
from codemie_core.accounts.account import Account
from codemie_core.accounts.roster import accounts, statuses
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, new_table, print_table, result, say
from codemie_core.cli.auth_context import COMMAND, run
from codemie_core.errors import CodemieError, SettingsError
from codemie_core.oauth import pending
from codemie_core.oauth.grants import Way, discovered, revoke
from codemie_core.oauth.held import Held, is_with, sign_ins, ways
from codemie_core.oauth.providers import OAuthProvider, load_providers, provider_named
from codemie_core.oauth.tokens import Tokens

if TYPE_CHECKING:
    from codemie_core.accounts.vault_door import VaultDoor
    from codemie_core.store.worker import StoreWorker


class RevocationFailed(CodemieError):
    """The account is gone here; at the provider the sign-in is not."""


def ca_file(book: Book) -> str:
    """The authority for calls outside, as for the proxy's own."""
    return book.setting("upstream_attempts", "ca_file")[0]


def providers(as_json: bool) -> None:
    """Whom one can sign in to, and what is still missing for it."""
    book = Book()
    known = load_providers(book.places, book.environ)
    table = new_table("Provider", "Accounts at", "Client", "Ways")
    table.add_row("codemie", "CodeMie, for the proxy as a whole", "not needed", "browser, paste, token")
    for name, found in known.items():
        client = "set" if found.client_id else f"missing: set {found.variable}"
        table.add_row(name, found.api or "-", client, ", ".join(ways(found)))
    if as_json:
        result("", [_provider_shown(found) for found in known.values()], as_json)
        return
    print_table(table)


def status(name: str, as_json: bool) -> None:
    """The accounts that are signed in to this provider. 1 when there is none, or one has to sign in again."""
    book = Book()
    provider, now = provider_named(book.places, book.environ, name), book.clock()
    found = held_by(book, provider) if book.begun else []
    with_status: list[tuple[Held, str]] = []
    if found:
        with book.reading() as connection:
            states = statuses(connection, [held.account for held in found], now)
        with_status = [(held, words.state_words(held.account, states[held.account.id], now)) for held in found]
    if as_json:
        result("", [_shown(held, state) for held, state in with_status], as_json)
    elif found:
        table = new_table("Account", "State", "Access until", "Renewed by itself")
        for held, state in with_status:
            table.add_row(held.account.name, state, _until(held.tokens), "yes" if held.renewed else "no")
        print_table(table)
    over = [held.account.name for held in found if held.account.needs_login or held.tokens is None]
    if not found:
        say(f"codemie-proxy: nobody is signed in to {name}. Run: {COMMAND} login {name} --name NAME")
    for account in over:
        say(f"codemie-proxy: the sign-in of {account} is over. Run: {COMMAND} login {name} --name {account}")
    if over or not found:
        raise typer.Exit(1)


def refresh(name: str, account: str, as_json: bool) -> None:
    """Renew the sign-ins of this provider now, or of one account."""
    from codemie_core.oauth.refresh import TokenKeeper

    book = Book()
    authority = ca_file(book)
    provider = provider_named(book.places, book.environ, name)
    chosen = [held.account for held in chosen_of(book, provider, account)]

    async def renewing() -> list[CodemieError]:
        failed: list[CodemieError] = []
        async with _store(book) as (worker, door):
            keeper = TokenKeeper(book.places, book.environ, door, worker.call, operator(), ca_file=lambda: authority)
            for one in await worker.call(lambda connection: door.with_proxies(connection, chosen), writing=False):
                try:
                    await keeper.access_token(one)
                    await keeper.access_token(one, force=True)
                except SecretTrouble as problem:
                    failed.append(problem)
            await keeper.end()
        return failed

    failed = run(renewing())
    after = {held.account.id: held for held in held_by(book, provider)}
    shown = [after[one.id] for one in chosen if one.id in after]
    lines = [f"{held.account.name}: good until {_until(held.tokens)}" for held in shown if not failed]
    if as_json or lines:
        result("\n".join(lines), [_shown(held, "") for held in shown], as_json)
    if failed:
        raise failed[0]


async def token_of(book: Book, account: Account) -> SecretStr:
    """An access token that is good now, renewed where that is due. SecretTrouble when it cannot be had."""
    from codemie_core.oauth.refresh import TokenKeeper

    authority = ca_file(book)
    async with _store(book) as (worker, door):
        keeper = TokenKeeper(book.places, book.environ, door, worker.call, operator(), ca_file=lambda: authority)
        [account] = await worker.call(lambda connection: door.with_proxies(connection, [account]), writing=False)
        try:
            return await keeper.access_token(account)
        finally:
            await keeper.end()


def logout(name: str, account: str, as_json: bool) -> None:
    """Have the provider forget the sign-in, and remove the account. RevocationFailed when only the latter was done."""
    book = Book()
    provider = provider_named(book.places, book.environ, name)
    found = chosen_of(book, provider, account)
    if len(found) > 1:
        names = ", ".join(held.account.name for held in found)
        raise SettingsError(f"several accounts are signed in to {name}: choose one with --name: {names}")
    chosen = found[0].account
    told, problem = run(_revoked(book, provider, chosen))
    from codemie_core.store.accounts import remove_account

    with book.writing() as connection:
        remove_account(connection, chosen.id, operator())
    pending.drop_all(book.places, chosen.id)
    result(f"Removed {chosen.name}", {"removed": chosen.name, "revoked": told}, as_json)
    say(NOTICE)
    if problem:
        raise RevocationFailed(
            f"{chosen.name} is removed here, but {name} could not be told ({problem}): end the sign-in on its own pages"
        )
    if not told:
        say(f"{name} has no revoke_url: its own pages are the place to end the sign-in there.")


def held_by(book: Book, provider: OAuthProvider) -> list[Held]:
    """The accounts that are signed in to it. One whose tokens do not open counts when it is for the same API."""
    with book.reading() as connection:
        found = sign_ins(connection, accounts(connection), book.vault)
    return [one for one in found if is_with(one, provider)]


def chosen_of(book: Book, provider: OAuthProvider, name: str) -> list[Held]:
    """Those, or the one of this name. SettingsError when there is none."""
    found = held_by(book, provider) if book.begun else []
    named = [held for held in found if not name or name in (held.account.name, held.account.id)]
    if named:
        return named
    if found:
        names = [held.account.name for held in found]
        raise SettingsError(f"no account {name!r} is signed in to {provider.name}; there are: {', '.join(names)}")
    raise SettingsError(
        f"nobody is signed in to {provider.name}. Run: {COMMAND} login {provider.name} --name {name or 'NAME'}"
    )


async def _revoked(book: Book, provider: OAuthProvider, account: Account) -> tuple[bool, str]:
    """Whether the provider was told, and why it could not be; "" when that is because it has no place for it.

    No proxy renews meanwhile: what it got would outlive the account.
    """
    from codemie_core.oauth.deposit import Deposit
    from codemie_core.oauth.token_store import TokenStore

    authority = ca_file(book)
    try:
        async with _store(book) as (worker, door):
            [account] = await worker.call(lambda connection: door.with_proxies(connection, [account]), writing=False)
            way = Way(book.places, book.environ, authority, account.outbound_proxy)
            if not provider.revoke_url:
                provider = await discovered(provider, way)
            if not provider.revoke_url:
                return False, ""
            tokens = TokenStore(book.places, door.vault_for, uuid.uuid4().hex, operator())
            deposit = Deposit(book.places, door, worker.call, tokens)
            stored, _ = await deposit.lease(account, lambda tokens: False)
            await revoke(provider, way, stored.tokens)
            deposit.end()
    except CodemieError as problem:
        return False, str(problem)
    return True, ""


@asynccontextmanager
async def _store(book: Book) -> AsyncIterator[tuple[StoreWorker, VaultDoor]]:
    """The database and the vault as a proxy has them."""
    from codemie_core.accounts.vault_door import VaultDoor
    from codemie_core.store.database import open_database
    from codemie_core.store.worker import StoreWorker

    database = open_database(book.places, book.environ)
    worker = StoreWorker(database)
    try:
        yield worker, VaultDoor(book.places, book.environ)
    finally:
        await asyncio.to_thread(worker.close)
        database.close()


def _provider_shown(found: OAuthProvider) -> dict[str, Any]:
    return {
        "name": found.name,
        "provider": found.provider,
        "base_url": found.api or None,
        "client": bool(found.client_id),
        "client_variable": found.variable,
        "ways": ways(found),
        "revokes": bool(found.revoke_url or found.issuer),
    }


def _until(tokens: Tokens | None) -> str:
    if tokens is None:
        return "-"
    return words.local(tokens.expires_at) if tokens.expires_at is not None else "its provider has not said"


def _shown(held: Held, state: str) -> dict[str, Any]:
    tokens = held.tokens
    left = tokens.left(time.time()) if tokens and tokens.expires_at is not None else None
    return {
        "account": held.account.name,
        "state": state or None,
        "needs_login": held.account.needs_login,
        "expires_at": words.moment(tokens.expires_at) if tokens else None,
        "expires_in_seconds": None if left is None else round(left),
        "renewed": held.renewed,
        "scope": tokens.scope if tokens else None,
    }
