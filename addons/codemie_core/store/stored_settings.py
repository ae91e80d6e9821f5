"""Settings that the admin API changed, read at a start: before there is a store, and without the libraries of one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import DATABASE_VARIABLE, database_file, reading_uri

logger = logging.getLogger(__name__)

LIVE = frozenset({"account_rotation.strategy"})
"""Read by running proxies themselves, again and again: no part of what a start is given."""
PATIENCE = 5.0
"""Seconds for a database that is being made or put in order; once it is, nobody who reads has to wait."""


def stored_settings(places: Places, environ: Mapping[str, str]) -> dict[str, Any]:
    """By their keys, like `upstream_attempts.max_attempts`. None where there is no database, or it cannot be read."""
    try:
        found = _from_server(places, environ) if environ.get(DATABASE_VARIABLE) else _from_file(places)
    except SettingsError as problem:
        logger.warning("Settings that the admin API changed do not count: %s", problem)
        return {}
    return {name: value for name, value in found.items() if name not in LIVE}


def _from_file(places: Places) -> dict[str, Any]:
    path = database_file(places)
    if not path.is_file():
        return {}
    import sqlite3

    try:
        with closing(sqlite3.connect(reading_uri(path), uri=True, timeout=PATIENCE)) as connection:
            rows = connection.execute("SELECT name, value FROM settings").fetchall()
        return {str(name): json.loads(value) for name, value in rows}
    except (sqlite3.Error, ValueError) as problem:
        # No table yet is no trouble; for all else the addons that need the database will say more.
        if "no such table" in str(problem):
            return {}
        raise SettingsError(f"{path} cannot be read: {problem}") from None


def _from_server(places: Places, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        from codemie_core.store.database import open_database
        from codemie_core.store.settings import load_settings
    except ModuleNotFoundError as missing:
        raise SettingsError(f"the library {missing.name} is missing: pip install 'codemie-proxy[store]'") from None
    database = open_database(places, environ)
    try:
        with database.reading() as connection:
            return dict(load_settings(connection))
    finally:
        database.close()
