"""What the pool of accounts means for an agent that is started: whether it needs a key, and what it must not see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemie_core.errors import CodemieError
from codemie_core.scope import host_matches

if TYPE_CHECKING:
    from codemie_core.accounts.account import Account
    from codemie_core.cli.accounts_book import Book


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Of all accounts of this home."""

    hosts: frozenset[str] = frozenset()
    """Whose requests get the credential of an account."""
    variables: frozenset[str] = frozenset()
    """In which accounts and sign-ins have their secrets."""

    def serves(self, hosts: Sequence[str]) -> bool:
        """Has some account a credential for one of these?"""
        return any(host_matches(own, hosts) for own in self.hosts)


def pool_facts(environ: Mapping[str, str]) -> PoolFacts:
    """Read them. Nothing is made, and what cannot be read counts as nothing: the proxy itself says what is wrong."""
    from codemie_core.cli.accounts_book import Book

    book = Book(environ)
    variables = _client_secrets(book)
    accounts = _accounts(book) if book.begun else ()
    hosts = {host for account in accounts if account.paused is None for host in _hosts(account)}
    return PoolFacts(frozenset(hosts), frozenset({*variables, *_named(accounts)}))


def _client_secrets(book: Book) -> Iterator[str]:
    from codemie_core.oauth.providers import load_providers

    with contextlib.suppress(CodemieError):
        for provider in load_providers(book.places, book.environ).values():
            if provider.client_secret_variable:
                yield provider.client_secret_variable


def _accounts(book: Book) -> Sequence[Account]:
    from sqlalchemy.exc import SQLAlchemyError

    from codemie_core.accounts.roster import accounts

    try:
        with book.reading() as connection:
            return accounts(connection)
    except (CodemieError, SQLAlchemyError, OSError):
        return ()


def _hosts(account: Account) -> Iterator[str]:
    from codemie_core.target import parse_target

    yield account.target.host
    for origin in account.serves:
        yield parse_target(origin).host


def _named(accounts: Sequence[Account]) -> Iterator[str]:
    from codemie_core.accounts.account import Source

    return (account.secret.place for account in accounts if account.secret.source is Source.ENV)
