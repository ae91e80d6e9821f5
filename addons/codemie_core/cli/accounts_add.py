"""`codemie-proxy accounts add` and `key`: an account and its secret, into the store and the vault."""

from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from codemie_core.accounts import adding, words
from codemie_core.accounts.account import Account, Source
from codemie_core.accounts.entry import Asked, account_of, proxy_user, secret_place
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.roster import accounts, one
from codemie_core.accounts.state import Status
from codemie_core.accounts.typed_secret import hints
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, result, say
from codemie_core.cli.accounts_secret import Prompts

PIPED = "as in: pass show work/key | codemie-proxy accounts ..."


def add(asked: Asked, as_json: bool) -> None:
    """Put it into the pool. Nothing is stored unless all of it can be."""
    book = Book()
    account = account_of(asked, say, book.clock)
    if book.begun:
        # Before anybody types a secret for nothing.
        with book.reading() as connection:
            adding.require_new(connection, account.name)
    prompts = Prompts()
    secret = _taken(account, prompts, book)
    proxy_secret = _proxy_secret(asked.outbound_proxy, prompts)
    with book.writing(make=True) as connection:
        first = not accounts(connection)
        vault = book.vault(connection) if secret or proxy_secret else None
        twin = adding.add(connection, account, vault, secret, proxy_secret, operator())
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
    book = Book()
    place = secret_place(env, command, keyring)
    with book.reading() as connection:
        account = one(connection, name)
    adding.require_key(account)
    secret = _taken(replace(account, secret=place), Prompts(), book)
    now = book.clock()
    with book.writing() as connection:
        vault = book.vault(connection) if secret else None
        changed = adding.replace_key(connection, account, vault, secret, place, operator(), now)
    text = f"{account.name} has another key. Its secret: {words.secret_words(changed)}"
    result(text, words.as_json(changed, Status("ready"), now), as_json)
    say(f"{NOTICE} To try it: codemie-proxy accounts test {account.name}")


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
    return adding.proxy_authorization(user, password)
