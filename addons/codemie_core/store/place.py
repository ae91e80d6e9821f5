"""Where the database is, answered without touching it: a proxy without one never loads SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from codemie_core.errors import SettingsError
from codemie_core.places import Places

DATABASE_VARIABLE = "CODEMIE_DATABASE_URL"
"""A variable and no option: the URL may hold a password."""

_PASSWORD = re.compile(r"(//[^/@:]*):[^@]*@")


def database_file(places: Places) -> Path:
    """The embedded database."""
    return places.proxy / "proxy.db"


def database_url(places: Places, environ: Mapping[str, str]) -> str:
    """As SQLAlchemy wants it. SettingsError for anything but PostgreSQL; its words never hold the URL."""
    url = environ.get(DATABASE_VARIABLE, "")
    if not url:
        return f"sqlite:///{database_file(places)}"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise SettingsError(f"{DATABASE_VARIABLE}: write postgresql://user@host/database, or unset it for SQLite")
    return f"postgresql+psycopg://{rest}"


def store_exists(places: Places, environ: Mapping[str, str]) -> bool:
    """Is there anything to open? A database that a URL names is taken to be."""
    return bool(environ.get(DATABASE_VARIABLE)) or database_file(places).is_file()


def describe(url: str) -> str:
    """The URL for people, without its password."""
    return _PASSWORD.sub(r"\1:[redacted]@", url).partition("?")[0]
