"""CodeMie's credential store: encrypted files that its own tools read and write too, and the keyring beside them.

Per sign-in there is one entry, named by kind and URL. Older tools hashed the whole URL and newer ones scheme and host;
both are found here, and the latter is written. A damaged entry is passed over with a reason, never an exception:
whoever has to sign in again needs a proxy that starts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.profile import GATEWAY_PATH
from codemie_core.sso.cipher import Kind, Machine, decrypt, encrypt, global_name, key_name, origin_key_name
from codemie_core.sso.keychain import Keychain, system_keychain
from codemie_core.sso.session import Session
from codemie_core.urls import origin_of, same_origin

KINDS: Final[tuple[Kind, ...]] = ("sso", "jwt")
SIGN_IN_AGAIN = "sign in again: codemie-proxy auth login"

# A session with many large cookies has some ten kilobytes.
_LARGEST = 1024 * 1024


class CredentialStore:
    """Sessions by URL and kind. `keychain` None is this machine's own, if it has one.

    `problems` says, one line each, what the last call passed over and what to do about it.
    """

    def __init__(self, places: Places, machine: Machine | None = None, keychain: Keychain | None = None) -> None:
        self._places = places
        self._machine = machine or Machine.here()
        self._keychain = keychain or system_keychain(os.environ)
        self.problems: list[str] = []

    def read(self, url: str, kind: Kind) -> Session | None:
        """The session for this URL's origin that ends last, expired or not; the order of `_names` breaks ties.

        An entry without a URL in its name counts only if its apiUrl is of the same origin.
        """
        self.problems = []
        found = self._sessions([*_names(url, kind), global_name(kind)], url, kind)
        # A session of unknown end stands back: it would hide every newer one for good.
        return max(found, key=lambda session: session.expires_at or 0.0, default=None)

    def write(self, url: str, session: Session) -> Path:
        """Keep the session in the keyring and in a file (0600 in a folder of 0700), which is returned.

        SettingsError when the file cannot be written.
        """
        self.problems = []
        try:
            name = origin_key_name(session.kind, url)
        except ValueError as error:
            raise SettingsError(f"the URL to sign in to is not usable: {error}") from None
        text = encrypt(session.to_json(), self._machine)
        path = self._path(name)
        self._places.ensure_private(path.parent)
        self._places.write_private(path, text.encode("ascii"))
        # What an earlier sign-in left under other names may last longer, and would be found instead.
        self._remove(other for other in self._names_to_remove(url, session.kind) if other != name)
        if self._keychain and not self._keychain.write(name, text) and self._keychain.delete(name):
            # The old copy would have come first for CodeMie's own tools.
            self.problems.append("the keyring did not take the session; the file alone has it")
        return path

    def delete(self, url: str) -> list[str]:
        """Remove what `read` would find, of both kinds. What was removed, for people."""
        self.problems = []
        return self._remove([name for kind in KINDS for name in self._names_to_remove(url, kind)])

    def signature(self, url: str) -> object:
        """Something that differs once a file for this URL did: for asking often, it only looks at the folder."""
        names = (name for kind in KINDS for name in (*_names(url, kind), global_name(kind)))
        return tuple(_stamp(self._path(name)) for name in names)

    def _sessions(self, names: Sequence[str], url: str, kind: Kind) -> Iterator[Session]:
        """Those of these entries that are usable and for this URL, the keyring's before the file's."""
        kept = self._keychain.read(names) if self._keychain else {}
        for name in names:
            path = self._path(name)
            for source, text in (("the keyring", kept.get(name)), (str(path), self._read(path))):
                session = self._session(text, kind, source) if text is not None else None
                if session and (name != global_name(kind) or same_origin(session.api_url, url)):
                    yield session

    def _names_to_remove(self, url: str, kind: Kind) -> list[str]:
        """The names of this URL, and the one without a URL if what it holds is for this origin."""
        shared = global_name(kind)
        is_ours = any(self._sessions([shared], url, kind))
        # One that cannot be read is nobody's, and whoever removes others need not hear of it.
        self.problems = []
        return [*_names(url, kind), *([shared] if is_ours else [])]

    def _remove(self, names: Iterable[str]) -> list[str]:
        removed = []
        for name in names:
            path = self._path(name)
            if self._unlink(path):
                removed.append(str(path))
            if self._keychain and self._keychain.delete(name):
                removed.append(f"{name} of the keyring")
        return removed

    def _session(self, text: str, kind: Kind, source: str) -> Session | None:
        try:
            session = Session.from_json(decrypt(text, self._machine), source)
        except ValueError as error:
            self.problems.append(f"{source}: the credential cannot be used ({error}); {SIGN_IN_AGAIN}")
            return None
        if session.kind != kind:
            self.problems.append(f"{source}: the credential is of the other kind; {SIGN_IN_AGAIN}")
            return None
        return session

    def _read(self, path: Path) -> str | None:
        try:
            return _read_own(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror or "it cannot be read"
        except ValueError as error:
            reason = str(error)
        self.problems.append(f"{path}: the credential cannot be used ({reason}); mend or remove it, or {SIGN_IN_AGAIN}")
        return None

    def _unlink(self, path: Path) -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            self.problems.append(f"{path} cannot be removed ({error.strerror or error}); remove it yourself")
            return False
        return True

    def _path(self, name: str) -> Path:
        # The one entry that lies outside the folder.
        folder = self._places.home if name == global_name("sso") else self._places.credentials
        return folder / f"{name}.enc"


def _names(url: str, kind: Kind) -> list[str]:
    """Every name that tools of different age give the entry for this URL, the one we write first."""
    try:
        origin = origin_of(url)
    except ValueError:
        return []
    return list(dict.fromkeys(key_name(kind, form) for form in (origin, url, origin + GATEWAY_PATH)))


def _read_own(path: Path) -> str:
    """The text of a regular file of our own. OSError, or ValueError with the reason."""
    owners = {path.parent.lstat().st_uid, path.parent.stat().st_uid}
    # Without waiting for whoever would write into a pipe in the file's place.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if {*owners, status.st_uid} != {os.geteuid()}:
            # Somebody else's session would put our requests under their account.
            raise ValueError("it belongs to another user")
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_size > _LARGEST:
            raise ValueError("it is too large")
        return os.read(descriptor, _LARGEST).decode("utf-8-sig", "replace")
    finally:
        os.close(descriptor)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
