"""Tokens in the database. All of it runs in the store's thread, inside the transaction it is given.

Sealed and opened with the vault that the database knows in that very transaction, so that a rotated key is no trouble.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemie_core.accounts.account import Account
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.oauth import pending
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.vault import Vault, VaultError

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEASE = 30.0
"""Seconds for which one process alone may renew an account's tokens. Longer than a call takes."""
SIGN_IN_AGAIN = "sign in again"
"""The event in the audit trail."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """Tokens as they were found, and the version by which a change since then is told."""

    tokens: Tokens
    version: int
    over: bool = False
    """Only its owner can mend this sign-in."""
    left_over: bytes | None = None
    """What a file held that the database has now; to be dropped after the commit."""


class TokenStore:
    """One per process. `holder` tells it from others that may renew."""

    def __init__(
        self,
        places: Places,
        vault_for: Callable[[Connection], Vault],
        holder: str,
        who: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._places, self._vault_for, self._holder, self._who, self._clock = places, vault_for, holder, who, clock

    def found(self, connection: Connection, account: Account) -> Stored:
        """What the database has. SecretTrouble when that is nothing, VaultError when it does not open."""
        from codemie_core.store.accounts import find
        from codemie_core.store.secrets import sealed_secret

        row, sealed = find(connection, account.id), sealed_secret(connection, account.id)
        if row is None:
            raise SecretTrouble(f"account {account.name}: it was removed")
        if sealed is None:
            raise SecretTrouble(f"account {account.name}: the vault holds no sign-in for it")
        try:
            tokens = Tokens.parse(self._open(connection, account, sealed[0]))
        except ValueError:
            raise SecretTrouble(f"account {account.name}: its sign-in cannot be read: sign in anew") from None
        return Stored(tokens, sealed[1], row.needs_login)

    def adopted(self, connection: Connection, account: Account) -> Stored:
        """The same, after what lies in the account's file was stored, if it is newer. Writes."""
        stored, sealed = self.found(connection, account), pending.lying(self._places, account.id)
        if sealed is None:
            return stored
        try:
            tokens = Tokens.parse(self._open(connection, account, sealed))
        except (VaultError, ValueError):
            logger.warning("account %s: the tokens in the folder for pending ones cannot be read", account.name)
            return stored
        if tokens.obtained_at > stored.tokens.obtained_at:
            logger.warning("account %s: tokens were renewed and not stored; they are now", account.name)
            stored = self.put(connection, account, tokens, stored.version)
        return Stored(stored.tokens, stored.version, stored.over, sealed)

    def leased(self, connection: Connection, account: Account) -> tuple[bool, Stored]:
        """May this process renew now, and what there is at this moment. Writes."""
        from codemie_core.store.secrets import lease_refresh

        now = int(self._clock() * 1000)
        got = lease_refresh(connection, account.id, self._holder, now, now + int(LEASE * 1000))
        return got, self.adopted(connection, account)

    def put(self, connection: Connection, account: Account, tokens: Tokens, expected: int) -> Stored:
        """Store them if nobody has stored others since that version; what is there afterwards. Writes."""
        from codemie_core.store.secrets import replace_secret

        sealed = self._vault_for(connection).seal(tokens.dump(), _about(account))
        if replace_secret(connection, account.id, sealed, expected):
            return Stored(tokens, expected + 1)
        return self.found(connection, account)

    def ended(self, connection: Connection, account: Account, code: str, expected: int) -> Stored:
        """Flag the sign-in as over, unless there are other tokens by now; what is there afterwards. Writes."""
        from codemie_core.store.accounts import change_account

        stored = self.adopted(connection, account)
        if stored.version != expected or stored.over:
            return stored
        change_account(connection, account.id, SIGN_IN_AGAIN, code, self._who, needs_login=True)
        return Stored(stored.tokens, stored.version, True, stored.left_over)

    def release(self, connection: Connection, account: Account) -> None:
        """Others may renew. Writes."""
        from codemie_core.store.secrets import release_refresh

        release_refresh(connection, account.id, self._holder)

    def _open(self, connection: Connection, account: Account, sealed: bytes) -> str:
        return self._vault_for(connection).open(sealed, _about(account)).get_secret_value()


def _about(account: Account) -> str:
    return f"account:{account.id}"
