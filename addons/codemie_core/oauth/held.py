"""Accounts with a sign-in, and what their sign-ins have: for those who look, never for those who send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemie_core.accounts.account import Account, Kind
from codemie_core.errors import CodemieError
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.vault import Vault


@dataclass(frozen=True, slots=True)
class Held:
    """An account and what its sign-in has; None when that does not open or cannot be read."""

    account: Account
    tokens: Tokens | None

    @property
    def renewed(self) -> bool:
        """Does a proxy renew it by itself?"""
        return bool(self.tokens and self.tokens.refresh and not self.account.needs_login)


def sign_ins(
    connection: Connection, accounts: Sequence[Account], vault_for: Callable[[Connection], Vault]
) -> list[Held]:
    """Those of the accounts that have a sign-in. The vault is opened only for them."""
    from codemie_core.store.secrets import all_secrets

    signed_in = [account for account in accounts if account.kind is Kind.OAUTH]
    if not signed_in:
        return []
    sealed = all_secrets(connection)
    return [_opened(connection, account, sealed.get(account.id, (b"", 0))[0], vault_for) for account in signed_in]


def is_with(one: Held, provider: OAuthProvider) -> bool:
    """Is it signed in there? One whose tokens do not open counts when it is for the same API."""
    return one.tokens.provider == provider.name if one.tokens else one.account.provider == provider.provider


def ways(provider: OAuthProvider) -> list[str]:
    """How people can sign in there: browser, paste, device."""
    found = ["browser", "paste"] if provider.authorize_url or provider.issuer else []
    return [*found, "device"] if provider.device_url else found


def _opened(connection: Connection, account: Account, sealed: bytes, vault_for: Callable[[Connection], Vault]) -> Held:
    try:
        opened = vault_for(connection).open(sealed, f"account:{account.id}") if sealed else None
        return Held(account, Tokens.parse(opened.get_secret_value()) if opened else None)
    except (CodemieError, ValueError):
        return Held(account, None)
