"""Where the database is, answered without touching it: a proxy without one never loads SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from codemie_core.errors import SettingsError
from codemie_core.places import Places

DATABASE_VARIABLE = "CODEMIE_DATABASE_URL"
"""A variable and no option: the URL may hold a password."""

_FORM = f"{DATABASE_VARIABLE}: write postgresql://<user>:<password>@host:5432/database, or unset it for SQLite"


class DatabaseTrouble(SettingsError):
    """The database cannot be used now: locked, full, gone, not reachable. What was asked of it has not happened."""


class LibraryMissing(SettingsError):
    """The database's library is not installed: nothing will change while this process runs."""


def database_file(places: Places) -> Path:
    """The embedded database."""
    return places.proxy / "proxy.db"


def reading_uri(path: Path) -> str:
    """The file at `path` for `sqlite3.connect(..., uri=True)`, to be read and not to be made.

    Not `mode=ro`: what a killed writer had begun has to be taken back before anybody can read, which that forbids.
    """
    return f"file:{quote(str(path))}?mode=rw"


def database_url(places: Places, environ: Mapping[str, str]) -> str:
    """As SQLAlchemy wants it. SettingsError for anything but PostgreSQL; its words never hold the URL."""
    url = environ.get(DATABASE_VARIABLE, "")
    if not url:
        return f"sqlite:///{database_file(places)}"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise SettingsError(_FORM)
    # With more than one @ the driver would take the end of the password for the host, and name it in its errors.
    if rest.partition("?")[0].count("@") > 1 or not _has_number_for_port(rest):
        raise SettingsError(f"{_FORM}; in a password write @ as %40, : as %3A, / as %2F and # as %23")
    return f"postgresql+psycopg://{rest}"


def store_exists(places: Places, environ: Mapping[str, str]) -> bool:
    """Is there anything to open? A database that a URL names is taken to be."""
    return bool(environ.get(DATABASE_VARIABLE)) or database_file(places).is_file()


def describe(url: str) -> str:
    """The URL for people, without its password; of an embedded database the file's path."""
    if url.startswith("sqlite:///"):
        return url.removeprefix("sqlite:///")
    scheme, _, rest = url.partition("?")[0].partition("://")
    user, at, where = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{where}"


def _has_number_for_port(rest: str) -> bool:
    try:
        urlsplit(f"//{rest}").port  # noqa: B018 - reading it is the check
    except ValueError:
        return False
    return True
