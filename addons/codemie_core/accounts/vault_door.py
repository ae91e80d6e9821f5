"""A proxy's way into the vault: with the key that the database knows at that moment, in the same transaction.

A key may be rotated while proxies run. Then the database names another one, and the vault is opened anew; what was
remembered from before neither opens a secret nor seals one. All of it is done in the store's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from codemie_core.accounts.account import Account
from codemie_core.places import Places
from codemie_core.sso.keychain import Keychain
from codemie_core.vault import Vault, VaultError, open_vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)


class VaultDoor:
    """One per process."""

    def __init__(self, places: Places, environ: Mapping[str, str], keychain: Keychain | None = None) -> None:
        self._places, self._environ, self._keychain = places, environ, keychain
        self.at_hand: Vault | None = None
        """The vault as it was opened last; None while nothing was sealed."""
        self._passwords: dict[tuple[str, str], SecretStr] = {}

    def vault_for(self, connection: Connection, make: bool = False) -> Vault:
        """The vault of this database; seal and open within the same transaction. VaultError when it does not open.

        With `make` the first secret makes one.
        """
        from codemie_core.store.secrets import set_vault_checks, vault_checks

        checks = vault_checks(connection)
        vault = self.at_hand
        if vault is None or (checks and vault.key_id not in checks):
            vault = self.at_hand = open_vault(self._places, self._environ, checks, make, self._keychain)
        if make and not checks:
            set_vault_checks(connection, {vault.key_id: vault.check()}, int(time.time() * 1000))
        return vault

    def secret_of(self, connection: Connection, account: Account) -> SecretStr | None:
        """What is sealed for it; None when nothing is. VaultError when it does not open."""
        from codemie_core.store.secrets import sealed_secret

        found = sealed_secret(connection, account.id)
        return self.vault_for(connection).open(found[0], f"account:{account.id}") if found else None

    def opened(self, account: Account, sealed: bytes) -> SecretStr | None:
        """What was read before, without the database; None when the vault at hand does not open it."""
        try:
            return self.at_hand.open(sealed, f"account:{account.id}") if self.at_hand is not None else None
        except VaultError:
            return None

    def with_proxies(self, connection: Connection, accounts: Sequence[Account]) -> tuple[Account, ...]:
        """The accounts, signed in to their outbound proxies; one whose password is damaged goes without, and is logged.

        VaultError when the vault does not open.
        """
        from codemie_core.store.accounts import sealed_proxies

        sealed = sealed_proxies(connection)
        if not sealed:
            self._passwords = {}
            return tuple(accounts)
        vault = self.vault_for(connection)
        self._passwords = {}
        for account in accounts:
            if account.id in sealed and account.outbound_proxy is not None:
                try:
                    password = vault.open(sealed[account.id], f"proxy:{account.id}")
                except VaultError:
                    logger.warning(
                        "account %s: the password of its outbound proxy is damaged: add it anew", account.name
                    )
                else:
                    self._passwords[_proxy_of(account)] = password
        return self.with_proxies_at_hand(accounts)

    def with_proxies_at_hand(self, accounts: Sequence[Account]) -> tuple[Account, ...]:
        """The same from memory, for a vault that does not open just now."""
        from codemie_core.store.accounts import with_proxy_secret

        known = self._passwords
        return tuple(
            with_proxy_secret(account, known[_proxy_of(account)]) if _proxy_of(account) in known else account
            for account in accounts
        )


def _proxy_of(account: Account) -> tuple[str, str]:
    """Whose password for what: it is never sent to another proxy than the one it was given for."""
    proxy = account.outbound_proxy
    return account.id, f"{proxy.scheme}://{proxy.host}:{proxy.port}" if proxy else ""
