"""Tokens that the database has not taken yet, in sealed files: a refresh token is used up before its heir is stored.

The file is written, down to the disk, as soon as the answer is in, and goes when the database has it. Between the two a
process may be killed, or the database be locked or full; whoever looks for the account's tokens next finds it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.vault import Vault, pending_folder

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def keep(places: Places, vault: Vault, account_id: str, tokens: Tokens) -> bytes:
    """Write the file and give back what is in it. SettingsError when it cannot be written."""
    sealed = vault.seal(tokens.dump(), f"account:{account_id}")
    # At once, so that nobody can kill us without it; then down to the disk, which takes its time.
    for durable in (False, True):
        places.write_private(_file(places, account_id), sealed, durable=durable)
    return sealed


def lying(places: Places, account_id: str) -> bytes | None:
    """What is in the account's file; None when there is none that can be read."""
    try:
        return _file(places, account_id).read_bytes()
    except OSError:
        return None


def drop(places: Places, account_id: str, sealed: bytes) -> None:
    """Remove the file, unless it holds something else by now."""
    if lying(places, account_id) == sealed:
        _file(places, account_id).unlink(missing_ok=True)


def drop_all(places: Places, account_id: str) -> None:
    """Remove the file, whatever it holds: the account is gone."""
    _file(places, account_id).unlink(missing_ok=True)


def waiting(places: Places) -> Iterator[str]:
    """The ids of accounts that have a file."""
    try:
        yield from sorted(path.name for path in pending_folder(places).iterdir() if _ID.fullmatch(path.name))
    except OSError:
        return


def _file(places: Places, account_id: str) -> Path:
    # An id becomes a file's name, and a database may be shared with others.
    if not _ID.fullmatch(account_id):
        raise ValueError("this is no id of an account")
    return pending_folder(places) / account_id
