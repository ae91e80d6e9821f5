"""The accounts of this CodeMie home, as the commands find and change them in the store."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from codemie_core.accounts.roster import NONE_YET
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import database_file, store_exists

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.database import Database
    from codemie_core.vault import Vault


class Book:
    """One command's hold on the store."""

    def __init__(self, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time) -> None:
        self.places, self.environ, self.clock = Places.from_env(environ), environ, clock

    @property
    def begun(self) -> bool:
        """Is there a store? Asking creates nothing."""
        return store_exists(self.places, self.environ)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For a look. SettingsError when there is nothing to look at."""
        if not self.begun:
            raise SettingsError(NONE_YET)
        with self._database() as database, database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self, make: bool = False) -> Iterator[Connection]:
        """For a change: all of it or nothing. With `make` a store is made where there is none."""
        if not (self.begun or make):
            raise SettingsError(NONE_YET)
        with self._database() as database, database.writing() as connection:
            yield connection

    def vault(self, connection: Connection) -> Vault:
        """The vault that goes with this store; the store's first secret makes it."""
        from codemie_core.store.secrets import set_vault_checks, vault_checks
        from codemie_core.vault import open_vault

        known = vault_checks(connection)
        vault = open_vault(self.places, self.environ, known, may_create=True)
        if not known:
            set_vault_checks(connection, {vault.key_id: vault.check()}, round(self.clock() * 1000))
        return vault

    def setting(self, section: str, key: str) -> tuple[str, str]:
        """A setting of an addon, which needs not be loaded for it, and where it is set; "" and "" if nowhere."""
        from codemie_core.sources import read_layers

        variable = f"CODEMIE_{section}_{key}".upper()
        if text := self.environ.get(variable):
            return text, variable
        layers = read_layers(self.places, self.environ, {})
        values = layers.file.get(section)
        value = values.get(key) if isinstance(values, Mapping) else None
        return (value, layers.file_name) if isinstance(value, str) else ("", "")

    @property
    def place(self) -> str:
        """Where the store is, for people."""
        from codemie_core.store.place import DATABASE_VARIABLE, database_url, describe

        if self.environ.get(DATABASE_VARIABLE):
            return describe(database_url(self.places, self.environ))
        return str(database_file(self.places))

    @contextmanager
    def _database(self) -> Iterator[Database]:
        from codemie_core.store.database import open_database

        database = open_database(self.places, self.environ, clock=self.clock)
        try:
            yield database
        finally:
            database.close()


def operator() -> str:
    """Who the audit trail says it was."""
    try:
        return f"{getpass.getuser()}, command line"
    except (KeyError, OSError):  # a user id without a name
        return "command line"
