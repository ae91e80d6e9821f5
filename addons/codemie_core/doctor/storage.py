"""The database, the vault and the accounts in it: do they open, and with the right key? Nothing is made or changed.

But for what a killed writer had begun: SQLite takes it back at the first look.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.installation import extra_line
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.errors import SettingsError
from codemie_core.store.place import DATABASE_VARIABLE, database_file, database_url, describe, reading_uri

PATIENCE = 2.0
"""Seconds for somebody who writes."""
_NEWER = "update this proxy (in a checkout: git pull), or start the newer one"
_VERSION = "SELECT version_num FROM alembic_version"
_ACCOUNTS = "SELECT name, provider, needs_login, paused FROM accounts ORDER BY priority, name"
_CHECKS = 'SELECT key_id, "check" FROM vault_keys'


class _Unusable(Exception):
    """The words are the driver's own, which hold no password. `fix` is what helps."""

    def __init__(self, words: str, fix: str) -> None:
        super().__init__(words)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    provider: str
    needs_login: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is looked at of it."""

    version: str = ""
    """Of its tables; "" when it has none."""
    sealed: Mapping[str, bytes] = field(default_factory=dict)
    """The vault's keys that its secrets were sealed with."""
    accounts: Sequence[_Account] = ()


def database(around: Surroundings) -> Iterator[Finding]:
    """The history's and the accounts' place."""
    if not _configured(around):
        yield ok("database", "there is no database yet; the first start makes it")
        return
    try:
        where = describe(database_url(around.places, around.environ))
        version = _stored(around).version
    except SettingsError as trouble:
        yield problem("database", str(trouble), f"mend or unset {DATABASE_VARIABLE}")
        return
    except _Unusable as trouble:
        yield problem("database", str(trouble), trouble.fix)
        return
    known = _known_versions()
    if version not in known and version:
        yield problem("database", f"{where} is of version {version}, newer than this proxy", _NEWER)
    elif version != known[-1]:
        yield note("database", f"{where} is of version {version or 'none'}; the next start brings it to {known[-1]}")
    else:
        yield ok("database", f"{where} opens, version {version}")


def vault(around: Surroundings) -> Iterator[Finding]:
    """Is the key there that the database's secrets were sealed with?"""
    from codemie_core.vault import VaultError, open_vault

    try:
        checks = _stored(around).sealed if _configured(around) else {}
    except (SettingsError, _Unusable):
        yield note("vault", "the vault cannot be looked at without the database")
        return
    if not checks:
        yield ok("vault", "the vault: nothing is sealed yet")
        return
    try:
        found = open_vault(around.places, around.environ, checks)
    except VaultError as trouble:
        yield problem("vault", str(trouble), "restore the key from a backup, or start where the keyring answers")
        return
    yield ok("vault", f"the vault opens with the key {found.key_id}, in {found.place}")


def accounts(around: Surroundings) -> Iterator[Finding]:
    """Those of the pool: can each of them be used?"""
    try:
        found = _stored(around).accounts if _configured(around) else ()
    except (SettingsError, _Unusable):
        yield note("accounts", "the accounts cannot be looked at without the database")
        return
    for one in found:
        if one.needs_login:
            login = shlex.join(["codemie-proxy", "auth", "login", one.provider, "--name", one.name])
            yield warning("accounts", f"account {one.name}: its sign-in has ended, and it is passed over", login)
        elif one.paused:
            resume = shlex.join(["codemie-proxy", "accounts", "resume", one.name])
            yield note("accounts", f"account {one.name} is paused", resume)
    usable = sum(not (one.needs_login or one.paused) for one in found)
    if found and not usable:
        yield problem("accounts", "none of the accounts can be used", "mend one of those above")
    else:
        yield ok(
            "accounts",
            f"{usable} of {len(found)} accounts can be used" if found else "no accounts: agents bring their own keys",
        )


def _configured(around: Surroundings) -> bool:
    return _is_server(around) or database_file(around.places).is_file()


def _is_server(around: Surroundings) -> bool:
    return bool(around.environ.get(DATABASE_VARIABLE))


def _known_versions() -> list[str]:
    from codemie_core.store.migrate import known_versions

    return known_versions()


def _stored(around: Surroundings) -> _Stored:
    return _of_server(around) if _is_server(around) else _of_file(around)


def _of_rows(version: object, sealed: Iterable[Sequence[Any]], accounts: Iterable[Sequence[Any]]) -> _Stored:
    keys = {str(key_id): bytes(check) for key_id, check in sealed}
    pool = [_Account(name, provider, bool(login), paused is not None) for name, provider, login, paused in accounts]
    return _Stored(str(version or ""), keys, pool)


def _of_file(around: Surroundings) -> _Stored:
    path = database_file(around.places)
    try:
        with closing(sqlite3.connect(reading_uri(path), uri=True, timeout=PATIENCE)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            row = connection.execute(_VERSION).fetchone() if "alembic_version" in names else None
            sealed = connection.execute(_CHECKS) if "vault_keys" in names else ()
            pool = connection.execute(_ACCOUNTS) if "accounts" in names else ()
            return _of_rows(row[0] if row else "", sealed, pool)
    except sqlite3.Error as trouble:
        away = shlex.join(["mv", str(path), f"{path}.bad"])
        fix = f"end who holds it; or put a copy in its place; or begin anew, without history and accounts: {away}"
        raise _Unusable(f"{path} cannot be read: {trouble}", fix) from None


def _of_server(around: Surroundings) -> _Stored:
    try:
        from sqlalchemy import create_engine, inspect, text
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError as missing:
        raise _Unusable(f"the library {missing.name} is missing", extra_line("postgres")) from None
    url = database_url(around.places, around.environ)
    try:
        engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": 5})
        try:
            with engine.connect() as connection:
                names = set(inspect(connection).get_table_names())
                version = connection.execute(text(_VERSION)).scalar() if "alembic_version" in names else None
                sealed = connection.execute(text(_CHECKS)) if "vault_keys" in names else ()
                pool = connection.execute(text(_ACCOUNTS)) if "accounts" in names else ()
                return _of_rows(version, map(tuple, sealed), map(tuple, pool))
        finally:
            engine.dispose()
    except ModuleNotFoundError as missing:
        raise _Unusable(f"the library {missing.name} is missing", extra_line("postgres")) from None
    except SQLAlchemyError as trouble:
        cause = str(getattr(trouble, "orig", "") or type(trouble).__name__).strip().partition("\n")[0]
        words = f"the database {describe(url)} cannot be used: {cause}"
        raise _Unusable(words, f"check that the server runs and lets us in, and {DATABASE_VARIABLE}") from None
