"""`codemie-proxy accounts add` and `key`: an account and its secret, into the store and the vault."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.state import Status
from codemie_core.cli.accounts_book import Book, accounts, one, operator
from codemie_core.cli.accounts_input import Asked, account_of, proxy_user, secret_place
from codemie_core.cli.accounts_output import NOTICE, result, say
from codemie_core.cli.accounts_secret import Prompts, hints
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.vault import Vault

PIPED = "as in: pass show work/key | codemie-proxy accounts ..."


def add(asked: Asked, as_json: bool) -> None:
    """Put it into the pool. Nothing is stored unless all of it can be."""
    from codemie_core.store.accounts import add_account

    book = Book()
    account = account_of(asked, say, book.clock)
    if book.begun:
        # Before anybody types a secret for nothing.
        with book.reading() as connection:
            _require_new(connection, account.name)
    prompts = Prompts()
    secret = _taken(account, prompts, book)
    proxy_secret = _proxy_secret(asked.outbound_proxy, prompts)
    with book.writing(make=True) as connection:
        _require_new(connection, account.name)
        first = not accounts(connection)
        vault = book.vault(connection) if secret or proxy_secret else None
        twin = _twin(connection, vault, account, secret)
        add_account(
            connection,
            account,
            _sealed(vault, secret, f"account:{account.id}"),
            operator(),
            sealed_proxy=_sealed(vault, proxy_secret, f"proxy:{account.id}"),
        )
    if first:
        sealed_by = f"; the key that seals their secrets is in {vault.place}" if vault else ""
        say(f"Your accounts are in {book.place}{sealed_by}")
    text = (
        f"Added {account.name}: {PROVIDERS[account.provider].label} at {account.base_url}, "
        f"priority {account.priority}. Its secret: {words.secret_words(account)}"
    )
    result(text, words.as_json(account, Status("ready"), book.clock()), as_json)
    say(f"{NOTICE} To try it: codemie-proxy accounts test {account.name}")
    if twin:
        say(f"It is the same key as {twin}'s, so both meet the same limits; remove one of them.")


def key(name: str, env: str, command: str, keyring: str, as_json: bool) -> None:
    """Another secret for it, or another place where it is."""
    from codemie_core.store.accounts import change_account
    from codemie_core.store.pool import end_rests
    from codemie_core.store.secrets import drop_secret, replace_secret

    book = Book()
    place = secret_place(env, command, keyring)
    with book.reading() as connection:
        account = one(connection, name)
    if account.kind is Kind.OAUTH:
        raise SettingsError(f"{account.name} has a sign-in and no key; sign in anew: {words.sign_in_command(account)}")
    changed = replace(account, secret=place)
    secret = _taken(changed, Prompts(), book)
    now = book.clock()
    with book.writing() as connection:
        if secret:
            vault = book.vault(connection)
            replace_secret(connection, account.id, vault.seal(secret.get_secret_value(), f"account:{account.id}"), None)
        else:
            drop_secret(connection, account.id)
        end_rests(connection, account.id, operator(), now)
        change_account(connection, account.id, "secret replaced", place.source.value, operator(), secret=place)
    text = f"{account.name} has another key. Its secret: {words.secret_words(changed)}"
    result(text, words.as_json(changed, Status("ready"), now), as_json)
    say(f"{NOTICE} To try it: codemie-proxy accounts test {account.name}")


def _require_new(connection: Connection, name: str) -> None:
    if any(account.name == name for account in accounts(connection)):
        raise SettingsError(
            f"there is an account {name!r} already: choose another name. To give it another key: "
            f"codemie-proxy accounts key {name}"
        )


def _taken(account: Account, prompts: Prompts, book: Book) -> SecretStr | None:
    """The secret that goes into the vault; None when it stays where it is."""
    if account.secret.source is Source.ENV and not book.environ.get(account.secret.place):
        say(f"{account.secret.place} is not set here; the proxy needs it in its own environment.")
    if account.secret.source is not Source.VAULT:
        return None
    label = PROVIDERS[account.provider].label
    secret = prompts.secret(f"the key of {account.name} for {label}", PIPED)
    for hint in hints(account.provider, secret):
        say(hint)
    return secret


def _proxy_secret(url: str, prompts: Prompts) -> SecretStr | None:
    """For Proxy-Authorization, when the proxy's URL names a user."""
    user = proxy_user(url) if url else None
    if user is None:
        return None
    password = prompts.secret(f"the password of {user} at the outbound proxy", "on the line after the key")
    pair = f"{user}:{password.get_secret_value()}"
    return SecretStr("Basic " + base64.b64encode(pair.encode()).decode())


def _sealed(vault: Vault | None, secret: SecretStr | None, about: str) -> bytes | None:
    return vault.seal(secret.get_secret_value(), about) if vault and secret else None


def _twin(connection: Connection, vault: Vault | None, account: Account, secret: SecretStr | None) -> str:
    """The account that has the same secret for the same API; "" when none has."""
    from codemie_core.errors import CodemieError
    from codemie_core.store.secrets import all_secrets

    if vault is None or secret is None:
        return ""
    sealed = all_secrets(connection)
    for other in accounts(connection):
        if other.origin == account.origin and other.id in sealed:
            try:
                opened = vault.open(sealed[other.id][0], f"account:{other.id}")
            except CodemieError:
                continue
            if opened.get_secret_value() == secret.get_secret_value():
                return other.name
    return ""
