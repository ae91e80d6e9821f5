"""An account and its secret, into the store and the vault, inside the transaction that is given."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind, SecretRef
from codemie_core.accounts.roster import accounts
from codemie_core.errors import CodemieError, SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.vault import Vault


def require_new(connection: Connection, name: str) -> None:
    """NameTaken when there is such an account."""
    from codemie_core.store.accounts import NameTaken

    if any(account.name == name for account in accounts(connection)):
        raise NameTaken(
            f"there is an account {name!r} already: choose another name. To give it another key: "
            f"codemie-proxy accounts key {name}"
        )


def require_key(account: Account) -> None:
    """SettingsError when it has a sign-in instead."""
    if account.kind is Kind.OAUTH:
        raise SettingsError(f"{account.name} has a sign-in and no key; sign in anew: {words.sign_in_command(account)}")


def add(
    connection: Connection,
    account: Account,
    vault: Vault | None,
    secret: SecretStr | None,
    proxy_secret: SecretStr | None,
    who: str,
) -> str:
    """Add it; the name of the account that has the same secret for the same API, "" when none has."""
    from codemie_core.store.accounts import add_account

    require_new(connection, account.name)
    twin = _twin(connection, vault, account, secret)
    sealed = _sealed(vault, secret, f"account:{account.id}")
    add_account(connection, account, sealed, who, sealed_proxy=_sealed(vault, proxy_secret, f"proxy:{account.id}"))
    return twin


def replace_key(
    connection: Connection,
    account: Account,
    vault: Vault | None,
    secret: SecretStr | None,
    place: SecretRef,
    who: str,
    now: float,
) -> Account:
    """Another secret for it, sealed by `vault`, or at another `place`. What the old one had run into is over."""
    from codemie_core.store.accounts import change_account
    from codemie_core.store.pool import end_rests
    from codemie_core.store.secrets import drop_secret, replace_secret

    require_key(account)
    sealed = _sealed(vault, secret, f"account:{account.id}")
    if sealed is not None:
        replace_secret(connection, account.id, sealed, None)
    else:
        drop_secret(connection, account.id)
    end_rests(connection, account.id, who, now)
    change_account(connection, account.id, "secret replaced", place.source.value, who, secret=place)
    return replace(account, secret=place)


def proxy_authorization(user: str, password: SecretStr) -> SecretStr:
    """For Proxy-Authorization."""
    pair = f"{user}:{password.get_secret_value()}"
    return SecretStr("Basic " + base64.b64encode(pair.encode()).decode())


def _sealed(vault: Vault | None, secret: SecretStr | None, about: str) -> bytes | None:
    return vault.seal(secret.get_secret_value(), about) if vault and secret else None


def _twin(connection: Connection, vault: Vault | None, account: Account, secret: SecretStr | None) -> str:
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
