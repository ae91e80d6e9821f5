"""The operator's token: `proxy/admin.token`, made once. Whoever can read that file may steer this home's proxies."""

from __future__ import annotations

import logging
import os
import re
import secrets
from pathlib import Path

from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places

logger = logging.getLogger(__name__)

TOKEN_PLACE = "~/.codemie/proxy/admin.token"
"""Where it usually is, for people."""
BYTES = 32
_TOKEN = re.compile(r"[\w-]{43,200}")
_OPEN_TO_OTHERS = 0o077


def token_file(places: Places) -> Path:
    """Where it is."""
    return places.proxy / "admin.token"


def admin_token(places: Places) -> SecretStr:
    """The token, made when there is none. SettingsError when it cannot be read or made."""
    return read_token(places) or _make(places)


def read_token(places: Places) -> SecretStr | None:
    """The token; None when there is none yet. Others lose their access to the file, if they had any."""
    path = token_file(places)
    try:
        # Whoever plants a link here would choose our token, or have us change the mode of another file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); remove it, and a new token is made") from None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise SettingsError(f"{path} belongs to another user; remove it, and a new token is made")
        if found.st_mode & _OPEN_TO_OTHERS:
            os.fchmod(descriptor, 0o600)
            logger.warning("%s was open to others and is closed now; remove it if somebody may have read it", path)
        text = file.read(1000).decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(text):
        raise SettingsError(f"{path} holds no token; remove it, and a new one is made")
    return SecretStr(text)


def _make(places: Places) -> SecretStr:
    """A new one; that of another proxy of this home, if it was quicker."""
    path = token_file(places)
    # Not the process id: two containers with one home may have the same.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    token = SecretStr(secrets.token_urlsafe(BYTES))
    places.write_private(draft, f"{token.get_secret_value()}\n".encode())
    try:
        os.link(draft, path)  # unlike a rename it fails where there is one already
        return token
    except FileExistsError:
        found = read_token(places)
        if found is None:
            raise SettingsError(f"{path} comes and goes; start again") from None
        return found
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); make its folder writable") from None
    finally:
        draft.unlink(missing_ok=True)
