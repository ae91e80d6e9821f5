"""The CodeMie home: whose it is, who else may look, and whether there is room."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.errors import SettingsError

LITTLE, LOW = 100 * 1024 * 1024, 1024 * 1024 * 1024
_OTHERS = 0o077
_ELSEWHERE = "set CODEMIE_HOME to a folder of your own"


def ownership(around: Surroundings) -> Iterator[Finding]:
    """The home itself."""
    home = around.places.home
    if home.is_symlink() or home.exists():
        yield _there(home)
    else:
        parent = _nearest(home)
        if os.access(parent, os.W_OK):
            yield note("home", f"{home} does not exist yet; the first start makes it")
        else:
            yield problem("home", f"{home} cannot be made in {parent}", _ELSEWHERE)


def _there(home: Path) -> Finding:
    if not home.is_dir():
        return problem("home", f"{home} is no folder", f"move it away, or {_ELSEWHERE}")
    found = home.stat()
    if found.st_uid != os.geteuid():
        return problem("home", f"{home} belongs to another user", f"{_own(home, recursive=True)}, or {_ELSEWHERE}")
    if os.access(home, os.W_OK | os.X_OK):
        return ok("home", str(home))
    closed = found.st_mode & stat.S_IRWXU != stat.S_IRWXU
    # Else the disk is one that can only be read.
    return problem("home", f"{home} cannot be written", _command("chmod", "u+rwx", home) if closed else _ELSEWHERE)


def permissions(around: Surroundings) -> Iterator[Finding]:
    """Who may read what is secret: folders 0700, files 0600."""
    places = around.places
    open_ones = [
        *(found for folder in (places.proxy, places.credentials, places.ca) for found in _open(folder, 0o700)),
        *(found for path in secret_files(around) for found in _open(path, 0o600)),
    ]
    yield from open_ones or [ok("permissions", "keys, tokens and sessions can be read by nobody else")]


def files(around: Surroundings) -> Iterator[Finding]:
    """Files of one's own that a proxy reads: are they what they should be?"""
    from codemie_core.access.client_keys import KeyStore
    from codemie_core.oauth.providers import load_providers, providers_file
    from codemie_core.usage.price_override import prices_file, read_prices

    places, well = around.places, True
    keys = KeyStore(places)
    try:
        keys.ring()
    except SettingsError as trouble:
        well = False
        away = _command("mv", keys.path, f"{keys.path}.bad")
        yield problem("files", f"{trouble}. Until then no proxy starts", f"{away}; clients need new keys then")
    try:
        read_prices(prices_file(places))
    except SettingsError as trouble:
        well = False
        yield warning("files", f"{trouble}. Until then none of its prices count", f"mend {prices_file(places)}")
    try:
        load_providers(places, around.environ)
    except SettingsError as trouble:
        well = False
        yield warning("files", f"{trouble}. Until then nobody can sign in", f"mend {providers_file(places)}")
    if well:
        yield ok("files", "client keys, prices and providers can be read")


def secret_files(around: Surroundings) -> Iterator[Path]:
    """Files that hold a key, a token, a session, or what is sealed with one."""
    places = around.places
    yield from (places.proxy / name for name in ("vault.key", "admin.token", "keys.json", "daemon.json"))
    yield from (places.proxy / name for name in ("proxy.db", "proxy.db-wal", "proxy.db-shm"))
    yield from (places.ca / name for name in ("mitmproxy-ca.pem", "mitmproxy-ca.p12"))
    yield around.home / ".mitmproxy" / "mitmproxy-ca.pem"
    yield places.home / "sso-credentials.enc"
    yield places.profile
    for folder, pattern in ((places.credentials, "*.enc"), (places.proxy / "pending", "*")):
        yield from sorted(folder.glob(pattern)) if folder.is_dir() else ()


def disk(around: Surroundings) -> Iterator[Finding]:
    """Room for history, logs and what is written anew."""
    free = shutil.disk_usage(_nearest(around.places.home)).free
    words = f"{free / 1024**3:.1f} GB free where {around.places.home} is"
    fix = "make room; or lower codemie_usage_metering_keep_size"
    if free < LITTLE:
        yield problem("disk", f"{free / 1024**2:.0f} MB free where {around.places.home} is", fix)
    elif free < LOW:
        yield warning("disk", words, fix)
    else:
        yield ok("disk", words)


def _open(path: Path, wanted: int) -> Iterator[Finding]:
    try:
        found = path.lstat()
    except OSError:
        return
    if stat.S_ISLNK(found.st_mode):
        try:
            found = path.stat()
        except OSError:
            return
    if found.st_uid != os.geteuid():
        yield problem("permissions", f"{path} belongs to another user", _own(path))
    elif found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        # A start is refused with a vault key that others may read; all else is closed, or only a folder away.
        level = problem if path.name in ("vault.key", "mitmproxy-ca.pem") else warning
        yield level("permissions", f"{path} may be read by others ({mode:04o})", _command("chmod", f"{wanted:o}", path))


def _own(path: Path, recursive: bool = False) -> str:
    """Only root can give a file to somebody else."""
    return _command("sudo", "chown", *(("-R",) if recursive else ()), os.geteuid(), path)


def _command(*words: object) -> str:
    return shlex.join(map(str, words))


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(one for one in (path, *path.parents) if one.exists())
