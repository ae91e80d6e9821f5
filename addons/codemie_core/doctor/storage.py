"""The database and the vault: do they open, and with the right key? Neither is made or brought up to date here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from urllib.parse import quote

from codemie_core.doctor.finding import Finding, note, ok, problem
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.errors import SettingsError
from codemie_core.store.place import DATABASE_VARIABLE, database_file, database_url, describe

PATIENCE = 2.0
"""Seconds for somebody who writes."""
_VERSION = "SELECT version_num FROM alembic_version"
_CHECKS = 'SELECT key_id, "check" FROM vault_keys'


class _Unusable(Exception):
    """The words are the driver's own, which hold no password."""


def database(around: Surroundings) -> Iterator[Finding]:
    """The history's and the accounts' place."""
    if not _configured(around):
        yield ok("database", "there is no database yet; the first start makes it")
        return
    try:
        where = describe(database_url(around.places, around.environ))
        version = _tables(around)[0]
    except (SettingsError, _Unusable) as trouble:
        server = "check that the server runs and lets us in"
        yield problem("database", str(trouble), server if _is_server(around) else "end who holds it, or restore a copy")
        return
    known = _known_versions()
    if version not in known and version:
        yield problem("database", f"{where} is of version {version}, newer than this proxy", "update codemie-proxy")
    elif version != known[-1]:
        yield note("database", f"{where} is of version {version or 'none'}; the next start brings it to {known[-1]}")
    else:
        yield ok("database", f"{where} opens, version {version}")


def vault(around: Surroundings) -> Iterator[Finding]:
    """Is the key there that the database's secrets were sealed with?"""
    from codemie_core.vault import VaultError, open_vault

    try:
        checks = _tables(around)[1] if _configured(around) else {}
    except (SettingsError, _Unusable):
        yield note("vault", "cannot be looked at without the database")
        return
    if not checks:
        yield ok("vault", "nothing is sealed yet")
        return
    try:
        found = open_vault(around.places, around.environ, checks)
    except VaultError as trouble:
        yield problem("vault", str(trouble), "restore the key from a backup, or start where the keyring answers")
        return
    yield ok("vault", f"opens with the key {found.key_id}, in {found.place}")


def _configured(around: Surroundings) -> bool:
    return _is_server(around) or database_file(around.places).is_file()


def _is_server(around: Surroundings) -> bool:
    return bool(around.environ.get(DATABASE_VARIABLE))


def _known_versions() -> list[str]:
    from codemie_core.store.migrate import known_versions

    return known_versions()


def _tables(around: Surroundings) -> tuple[str, Mapping[str, bytes]]:
    """The version of its tables, "" when it has none, and the vault's keys it was sealed with."""
    return _of_server(around) if _is_server(around) else _of_file(around)


def _of_file(around: Surroundings) -> tuple[str, Mapping[str, bytes]]:
    path = database_file(around.places)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            row = connection.execute(_VERSION).fetchone() if "alembic_version" in names else None
            sealed = connection.execute(_CHECKS) if "vault_keys" in names else ()
            return str(row[0]) if row else "", {str(key_id): bytes(check) for key_id, check in sealed}
    except sqlite3.Error as trouble:
        raise _Unusable(f"{path} cannot be read: {trouble}") from None


def _of_server(around: Surroundings) -> tuple[str, Mapping[str, bytes]]:
    try:
        from sqlalchemy import create_engine, inspect, text
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError as missing:
        raise _Unusable(f"the library {missing.name} is missing: pip install 'codemie-proxy[postgres]'") from None
    url = database_url(around.places, around.environ)
    try:
        engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": 5})
        try:
            with engine.connect() as connection:
                names = set(inspect(connection).get_table_names())
                version = connection.execute(text(_VERSION)).scalar() if "alembic_version" in names else None
                sealed = connection.execute(text(_CHECKS)) if "vault_keys" in names else ()
                return str(version or ""), {str(row[0]): bytes(row[1]) for row in sealed}
        finally:
            engine.dispose()
    except ModuleNotFoundError as missing:
        raise _Unusable(f"the library {missing.name} is missing: pip install 'codemie-proxy[postgres]'") from None
    except SQLAlchemyError as trouble:
        cause = str(getattr(trouble, "orig", "") or type(trouble).__name__).strip().partition("\n")[0]
        raise _Unusable(f"the database {describe(url)} cannot be used: {cause}") from None
