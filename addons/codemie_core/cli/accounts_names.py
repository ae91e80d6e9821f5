"""What the shell completes: names of accounts, providers and strategies. Silent where there is nothing to offer."""

from __future__ import annotations


def account_names(incomplete: str) -> list[str]:
    """Accounts of this home. It makes no database and says no word: the shell would take it for an offer."""
    try:
        return _that_begin(incomplete, _stored())
    except Exception:
        return []


def provider_names(incomplete: str) -> list[str]:
    """Providers that accounts can be of."""
    from codemie_core.accounts.providers import PROVIDERS

    return _that_begin(incomplete, list(PROVIDERS))


def sign_in_names(incomplete: str) -> list[str]:
    """Whom somebody can sign in to. A providers.yaml that cannot be read is the commands' to complain about."""
    try:
        import os

        from codemie_core.oauth.providers import load_providers
        from codemie_core.places import Places

        return _that_begin(incomplete, ["codemie", *load_providers(Places.from_env(os.environ), os.environ)])
    except Exception:
        return ["codemie"]


def strategy_names(incomplete: str) -> list[str]:
    """Ways to choose an account."""
    from codemie_core.accounts.strategies import STRATEGIES

    return _that_begin(incomplete, list(STRATEGIES))


def _stored() -> list[str]:
    from codemie_core.accounts.roster import accounts
    from codemie_core.cli.accounts_book import Book

    book = Book()
    if not book.begun:
        return []
    with book.reading() as connection:
        return [account.name for account in accounts(connection)]


def _that_begin(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
