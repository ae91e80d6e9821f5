"""Rotating the vault's key, and how the vault is. One writing transaction, so that a crash at any point loses nothing.

The new key is stored beside the old one before a row is touched. The commit makes the database name the new one, and
from then on it seals; before it the old one does. The old one is kept until the next rotation: a process that runs may
have sealed a token with it in that moment, and copies of the database from before open with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, delete, func, select, update

from codemie_core.places import Places
from codemie_core.sso.keychain import Keychain
from codemie_core.store import tables
from codemie_core.store.audit import record
from codemie_core.store.secrets import set_vault_checks, vault_checks
from codemie_core.vault import Vault, VaultError, VaultPlace, head_of, key_of, open_vault, pending_folder

type Place = tuple[Column[Any], Column[Any], str]
"""A column of ids, one of sealed values, and what these are about: `about:id`."""

SECRETS: Place = (tables.account_secrets.c.account_id, tables.account_secrets.c.sealed, "account")
PROXIES: Place = (tables.accounts.c.id, tables.accounts.c.outbound_proxy_sealed, "proxy")
LOGINS: Place = (tables.oauth_sessions.c.id, tables.oauth_sessions.c.sealed, "login")
SEALED = (SECRETS, PROXIES, LOGINS)
"""All columns that hold what the vault has sealed, but for payloads: those are many, and gone within days."""


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """How the vault is."""

    place: str
    """Where its keys are."""
    key_id: str
    """The key that seals."""
    since_ms: int
    former: Sequence[str]
    """Ids of keys that are kept, too."""
    secrets: int
    """What is sealed for accounts: keys, sign-ins, passwords of outbound proxies."""
    broken: Sequence[str]
    """Names of accounts with a sealed value that does not open."""


def vault_status(
    connection: Connection, places: Places, environ: Mapping[str, str], keychain: Keychain | None = None
) -> VaultStatus | None:
    """None while nothing was ever sealed. VaultError when the key is missing or wrong."""
    known = vault_checks(connection)
    if not known:
        return None
    vault = open_vault(places, environ, known, keychain=keychain)
    keys = tables.vault_keys
    since = connection.execute(select(keys.c.created_ms).where(keys.c.key_id == vault.key_id)).scalar_one()
    found = [(about, row_id, blob) for place in (SECRETS, PROXIES) for about, row_id, blob in _rows(connection, place)]
    return VaultStatus(
        place=vault.place,
        key_id=vault.key_id,
        since_ms=since,
        former=sorted(vault.key_ids - {vault.key_id}),
        secrets=len(found),
        broken=sorted({_name(connection, row_id) for about, row_id, blob in found if not _opens(vault, blob, about)}),
    )


def rotate(
    connection: Connection,
    places: Places,
    environ: Mapping[str, str],
    who: str,
    now_ms: int,
    keychain: Keychain | None = None,
) -> VaultStatus:
    """Seal everything with a new key, within this writing transaction. VaultError changes nothing."""
    known = vault_checks(connection)
    if not known:
        raise VaultError("nothing is sealed yet, so there is no key to rotate: the first secret makes one")
    former = open_vault(places, environ, known, keychain=keychain)
    _drop_stale_logins(connection, former)
    opened = [
        (place, row_id, about, _open(connection, former, row_id, about, blob))
        for place in SEALED
        for about, row_id, blob in _rows(connection, place)
    ]
    # The place first: what a transaction seals must never be older than the key to it.
    vault = VaultPlace(places, environ, keychain).save(former.with_new_key(keep=_pending(places)))
    for (ids, values, _), row_id, about, secret in opened:
        # Not another version: what is sealed is the same, and a refresh under way has to fit.
        connection.execute(update(ids.table).where(ids == row_id).values({values.name: vault.seal(secret, about)}))
    _drop_lost_payloads(connection, vault)
    set_vault_checks(connection, {vault.key_id: vault.check()}, now_ms)
    record(connection, "", "", "vault key rotated", f"{former.key_id} to {vault.key_id}", who)
    status = vault_status(connection, places, environ, keychain)
    assert status is not None
    return status


def _rows(connection: Connection, place: Place) -> Iterator[tuple[str, str, bytes]]:
    ids, values, about = place
    for row_id, blob in connection.execute(select(ids, values).where(values.is_not(None)).order_by(ids)).all():
        yield f"{about}:{row_id}", row_id, blob


def _open(connection: Connection, vault: Vault, row_id: str, about: str, blob: bytes) -> str:
    try:
        return vault.open(blob, about).get_secret_value()
    except VaultError as problem:
        name = _name(connection, row_id)
        secret = about.startswith("account:")
        fix = f"give it a new one (codemie-proxy accounts key {name})" if secret else "add the account anew"
        what = "its secret" if secret else "the password of its outbound proxy"
        raise VaultError(f"account {name}: {what} does not open ({problem}): {fix}, then rotate") from None


def _opens(vault: Vault, blob: bytes, about: str) -> bool:
    try:
        vault.open(blob, about)
    except VaultError:
        return False
    return True


def _drop_stale_logins(connection: Connection, vault: Vault) -> None:
    """Sign-ins that were begun and cannot be ended."""
    ids = LOGINS[0]
    for about, row_id, blob in _rows(connection, LOGINS):
        if not _opens(vault, blob, about):
            connection.execute(delete(ids.table).where(ids == row_id))


def _drop_lost_payloads(connection: Connection, vault: Vault) -> None:
    """Those that were sealed before the last rotation, which nobody can open any more."""
    sealed = tables.payloads.c.sealed
    heads = [head_of(key_id) for key_id in vault.key_ids]
    head = func.substr(sealed, 1, len(heads[0]), type_=sealed.type)
    connection.execute(delete(tables.payloads).where(head.not_in(heads)))


def _name(connection: Connection, account_id: str) -> str:
    table = tables.accounts
    return str(connection.execute(select(table.c.name).where(table.c.id == account_id)).scalar() or account_id)


def _pending(places: Places) -> frozenset[str]:
    """The keys of tokens that wait for the database in files."""
    folder = pending_folder(places)
    try:
        return frozenset(key_of(path.read_bytes()) for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        return frozenset()
    except OSError as problem:
        raise VaultError(f"{folder} cannot be read ({problem.strerror}): make it readable, then rotate") from None
