"""`codemie-proxy accounts test`: one request to the provider, with the account's secret, at the operator's own word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.roster import one
from codemie_core.accounts.trial import SECONDS, Trial, ask, remedy
from codemie_core.cli.accounts_book import Book
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def check(name: str, as_json: bool) -> None:
    """Ask, and say what came back. Ends with 1 unless the secret is good."""
    from codemie_core.cli.auth_context import run

    book = Book()
    with book.reading() as connection:
        account = one(connection, name)
        vaulted = _Vaulted.of(book, connection, account)
    trial = run(_asked(book, account, vaulted))
    if as_json:
        typer.echo(json.dumps(trial.as_json(), indent=2))
    else:
        count = f", {trial.models} model{'' if trial.models == 1 else 's'}" if trial.models else ""
        typer.echo(f"GET {trial.url}: {trial.status or 'no answer'}{count}\n{account.name}: {trial.meaning}")
    if trial.good is False:
        typer.echo(remedy(account), err=True)
    if not trial.good:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Vaulted:
    """What the vault has for one account."""

    secret: SecretStr | None
    proxy: SecretStr | None

    @classmethod
    def of(cls, book: Book, connection: Connection, account: Account) -> _Vaulted:
        from codemie_core.store.accounts import sealed_proxies
        from codemie_core.store.secrets import sealed_secret, vault_checks
        from codemie_core.vault import open_vault

        sealed, proxy = sealed_secret(connection, account.id), sealed_proxies(connection).get(account.id)
        if not sealed and not proxy:
            return cls(None, None)
        vault = open_vault(book.places, book.environ, vault_checks(connection))
        return cls(
            vault.open(sealed[0], f"account:{account.id}") if sealed else None,
            vault.open(proxy, f"proxy:{account.id}") if proxy else None,
        )


async def _asked(book: Book, account: Account, vaulted: _Vaulted) -> Trial:
    from codemie_core.cli.auth_accounts import ca_file
    from codemie_core.store.accounts import with_proxy_secret
    from codemie_core.web import client_for

    secret = await _secret(book, account, vaulted)
    if vaulted.proxy is not None and account.outbound_proxy is not None:
        account = with_proxy_secret(account, vaulted.proxy)
    proxy, authority = account.outbound_proxy, ca_file(book)
    return await ask(account, secret, lambda url: client_for(url, book.places, book.environ, authority, SECONDS, proxy))


async def _secret(book: Book, account: Account, vaulted: _Vaulted) -> SecretStr:
    """As a proxy would have it: a sign-in is renewed where that is due."""
    from codemie_core.accounts.secrets import SecretShelf, SecretTrouble
    from codemie_core.cli.auth_accounts import token_of

    if account.kind is Kind.OAUTH:
        return await token_of(book, account)
    variable = account.secret.place
    if account.secret.source is Source.ENV and variable not in book.environ:
        raise SecretTrouble(
            f"account {account.name}: {variable} is not set here; a proxy has it from where it was started"
        )

    async def from_vault(_: Account) -> SecretStr:
        if vaulted.secret is None:
            raise SettingsError(f"{account.name}: the vault holds nothing for it. {remedy(account)}")
        return vaulted.secret

    return await SecretShelf(book.environ, from_vault).secret(account)
