"""What a proxy reads of the database: all of it before it runs, and what is new afterwards."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codemie_core.accounts.account import Account
from codemie_core.accounts.state import PoolState
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.shared import SharedStore, take_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.database import Database

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the database holds, or what of it is new. Outbound proxies come without their passwords."""

    revision: int
    accounts_revision: int
    accounts: tuple[Account, ...]
    settings: Mapping[str, object]
    versions: Mapping[str, int]
    """Account id -> version of its secret."""
    keys: Mapping[str, bytes]
    """Account id -> its API key, sealed."""
    state: PoolState
    checks: Mapping[str, bytes] = field(default_factory=dict)
    """The keys of the vault that the database knows."""

    @property
    def sealed(self) -> bool:
        """Is the vault needed?"""
        return bool(self.checks) or bool(self.versions)


def open_store(places: Places, environ: Mapping[str, str]) -> SharedStore:
    """This process's store, up to date, with a copy of the client keys in it. SettingsError when it cannot be used."""
    store = take_store(places, environ)
    try:
        if store.database.writable:
            _copy_client_keys(store.database, places)
    except BaseException:
        store.release()
        raise
    return store


def load(connection: Connection, since: int | None, now: float) -> Loaded:
    """Everything; with `since` a revision, of the pool's state only what is newer."""
    from codemie_core.store.accounts import load_accounts
    from codemie_core.store.database import accounts_revision, revision_of
    from codemie_core.store.pool import load_state, state_since
    from codemie_core.store.secrets import sealed_keys, secret_versions, vault_checks
    from codemie_core.store.settings import load_settings

    return Loaded(
        revision=revision_of(connection),
        accounts_revision=accounts_revision(connection),
        accounts=tuple(load_accounts(connection)),
        settings=load_settings(connection),
        versions=secret_versions(connection),
        keys=sealed_keys(connection),
        state=load_state(connection, now) if since is None else state_since(connection, since),
        checks=vault_checks(connection),
    )


def _copy_client_keys(database: Database, places: Places) -> None:
    from codemie_core.access.client_keys import KeyStore
    from codemie_core.store.client_keys import import_keys

    try:
        with database.writing() as connection:
            import_keys(connection, KeyStore(places).ring())
    except SettingsError as problem:
        # Only those who look at history miss it; whether the accounts can be read shows next.
        logger.warning("The client keys were not copied into the database: %s", problem)
