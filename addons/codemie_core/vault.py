"""The vault: what is secret at rest is sealed with AES-GCM under a key of this home.

The key is in the system's keyring where there is one, else in `proxy/vault.key` (0600). A sealed blob names its key, so
that old and new serve side by side while keys are rotated, and it is bound to what it is about: moved to another row it
does not open. Which key seals is what the database says, not the place where the keys are: so a rotation is one
transaction. Fails closed: with a wrong or missing key nothing is opened and nothing is made in its place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.sso.keychain import Keychain, system_keychain

_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, _KEY_BYTES = 4, 12, 32
_CHECKED = "codemie-proxy"
_KEYRING = "the system's keyring"
_LONGEST = 64 * 1024


class VaultError(SettingsError):
    """A key that is missing or wrong, or a blob that does not open. The message names the place and the fix."""


class Vault:
    """The keys of one home; the current one seals."""

    def __init__(self, keys: Mapping[str, bytes], current: str, place: str = "") -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._keys = dict(keys)
        self.key_id = current
        self.place = place
        """Where the keys are, for people."""

    @classmethod
    def fresh(cls, place: str = "") -> Vault:
        """A vault with a new key."""
        key = secrets.token_bytes(_KEY_BYTES)
        return cls({_id_of(key): key}, _id_of(key), place)

    @property
    def key_ids(self) -> frozenset[str]:
        """All keys that can open."""
        return frozenset(self._keys)

    def seal(self, secret: str, about: str) -> bytes:
        """The secret, readable only together with the same `about`, such as "account:<uuid>"."""
        return self.seal_bytes(secret.encode(), about)

    def seal_bytes(self, secret: bytes, about: str) -> bytes:
        """The same of what is no text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = head_of(self.key_id)
        return head + nonce + self._ciphers[self.key_id].encrypt(nonce, secret, head + about.encode())

    def open(self, sealed: bytes, about: str) -> SecretStr:
        """What was sealed. VaultError when this vault has not its key, or it is damaged or about something else."""
        try:
            return SecretStr(self.open_bytes(sealed, about).decode())
        except UnicodeDecodeError:
            raise VaultError(f"the secret of {about} is damaged or does not belong there: set it anew") from None

    def open_bytes(self, sealed: bytes, about: str) -> bytes:
        """The same of what is no text."""
        head, key_id = sealed[: 1 + _ID_BYTES], key_of(sealed)
        if not key_id:
            raise VaultError(f"the secret of {about} is damaged: set it anew")
        if key_id not in self._ciphers:
            raise VaultError(f"a secret was sealed with the key {key_id}, which is not in {self.place or 'the vault'}")
        nonce, rest = sealed[len(head) : len(head) + _NONCE_BYTES], sealed[len(head) + _NONCE_BYTES :]
        try:
            return self._ciphers[key_id].decrypt(nonce, rest, head + about.encode())
        except (InvalidTag, ValueError):
            raise VaultError(f"the secret of {about} is damaged or does not belong there: set it anew") from None

    def check(self) -> bytes:
        """A blob for the database by which a wrong key is told later."""
        return self.seal(_CHECKED, f"vault:{self.key_id}")

    def fits(self, key_id: str, check: bytes) -> bool:
        """Is this the key that made the check?"""
        try:
            return self.open(check, f"vault:{key_id}").get_secret_value() == _CHECKED
        except VaultError:
            return False

    def with_new_key(self, keep: Collection[str] = ()) -> Vault:
        """One with a new key, which seals; the one that sealed until now, and those to `keep`, still open."""
        key = secrets.token_bytes(_KEY_BYTES)
        kept = {key_id: known for key_id, known in self._keys.items() if key_id == self.key_id or key_id in keep}
        return Vault({**kept, _id_of(key): key}, _id_of(key), self.place)

    def sealing_with(self, key_id: str) -> Vault:
        """The same keys, of which this one seals."""
        return self if key_id == self.key_id else Vault(self._keys, key_id, self.place)

    def dump(self) -> str:
        """All of it, for the place where it is kept."""
        keys = {key_id: base64.b64encode(key).decode() for key_id, key in self._keys.items()}
        return json.dumps({"current": self.key_id, "keys": keys})

    @classmethod
    def parse(cls, text: str, place: str) -> Vault:
        """What `dump` wrote. VaultError when it is something else."""
        try:
            found = json.loads(text)
            keys = {_id_of(key): key for key in (base64.b64decode(k, validate=True) for k in found["keys"].values())}
            current = found["current"]
        except (ValueError, KeyError, TypeError, AttributeError):
            keys, current = {}, ""
        if current not in keys or any(len(key) != _KEY_BYTES for key in keys.values()):
            raise VaultError(f"{place} holds no vault key: restore it from a backup of the same machine")
        return cls(keys, current, place)

    def __repr__(self) -> str:
        return f"<Vault({self.key_id}, {len(self._keys)} keys)>"


class VaultPlace:
    """Where the keys of one home are kept: the keyring if there is one that keeps them, else a file."""

    def __init__(self, places: Places, environ: Mapping[str, str], keychain: Keychain | None = None) -> None:
        self._places = places
        self._entry = f"codemie-proxy vault {hashlib.sha256(str(places.home).encode()).hexdigest()[:16]}"
        self._keychain = keychain or system_keychain(environ)

    @property
    def file(self) -> Path:
        """The file, whether it is there or not."""
        return self._places.proxy / "vault.key"

    def load(self) -> tuple[list[Vault], VaultError | None]:
        """What is found, the keyring's first, and what was wrong with a place that held something else."""
        found: list[Vault] = []
        trouble: VaultError | None = None
        for place, read in ((_KEYRING, self._keyring_text), (str(self.file), self._file_text)):
            try:
                if text := read():
                    found.append(Vault.parse(text, place))
            except VaultError as problem:
                trouble = problem
        return found, trouble

    def save(self, vault: Vault) -> Vault:
        """Keep it where it came from; a new one in the keyring, if that gives it back again.

        It is on the disk when this returns. VaultError when it could not be kept: what was there before still is.
        """
        text = vault.dump()
        if vault.place != str(self.file) and self._keychain:
            if self._keychain.write(self._entry, text) and self._keyring_text() == text:
                return Vault.parse(text, _KEYRING)
            if vault.place:
                raise VaultError(f"{_KEYRING} does not take the vault's key; no secret was changed")
            self._keychain.delete(self._entry)
        elif vault.place == _KEYRING:
            raise VaultError(f"{_KEYRING} does not answer here; no secret was changed")
        self._places.write_private(self.file, text.encode(), durable=True)
        return Vault.parse(text, str(self.file))

    def missing(self) -> VaultError:
        """There are secrets, and no key to open them."""
        where = f"neither {_KEYRING} nor {self.file}" if self._keychain else f"not {self.file}"
        hint = "" if self._keychain else f" If it is in {_KEYRING}: no keyring answers here, start it where one does."
        return VaultError(
            f"the database holds sealed secrets, and {where} has the key to them. Restore the file from a backup.{hint}"
        )

    def _keyring_text(self) -> str:
        return self._keychain.read([self._entry]).get(self._entry, "") if self._keychain else ""

    def _file_text(self) -> str:
        try:
            # Without waiting for a writer, should it be a pipe.
            descriptor = os.open(self.file, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return ""
        except OSError as problem:
            raise VaultError(f"{self.file} cannot be read ({problem.strerror}): make it a file of your own") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise VaultError(f"{self.file} is not a file of your own: move it away, or run as its owner")
            if status.st_mode & 0o077:
                fix = f"run: chmod 600 {self.file}; if others can have read it, then: codemie-proxy vault rotate"
                raise VaultError(f"{self.file} may be read by others, so its key is no secret; {fix}")
            return os.read(descriptor, _LONGEST).decode("ascii", "replace")
        finally:
            os.close(descriptor)


def open_vault(
    places: Places,
    environ: Mapping[str, str],
    known: Mapping[str, bytes],
    may_create: bool = False,
    keychain: Keychain | None = None,
) -> Vault:
    """The vault of this home, checked against the database's `known` keys (id -> check); of those one seals.

    VaultError when its key is missing or is not the one; with `may_create` and nothing known a new key is made.
    """
    place = VaultPlace(places, environ, keychain)
    found, trouble = place.load()
    for vault in found:
        for key_id in sorted(known, key=lambda key_id: key_id != vault.key_id):
            if vault.fits(key_id, known[key_id]):
                return vault.sealing_with(key_id)
    if trouble:
        raise trouble
    if not found:
        if known or not may_create:
            raise place.missing()
        return place.save(Vault.fresh())
    if known:
        where = " and in ".join(vault.place for vault in found)
        fix = "restore it from a backup, or, if it was rotated on another machine, copy it from there"
        raise VaultError(f"the key in {where} is not the one that the database's secrets were sealed with: {fix}")
    return found[0]


def key_of(sealed: bytes) -> str:
    """The id of the key that a blob was sealed with; "" for anything else."""
    return sealed[1 : 1 + _ID_BYTES].hex() if sealed[:1] == _VERSION and len(sealed) > _ID_BYTES else ""


def head_of(key_id: str) -> bytes:
    """How all blobs begin that were sealed with this key."""
    return _VERSION + bytes.fromhex(key_id)


def pending_folder(places: Places) -> Path:
    """Where sealed tokens lie that the database has not taken yet, a blob per file: a rotation keeps their keys."""
    return places.proxy / "pending"


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"codemie-proxy vault key " + key).hexdigest()[: 2 * _ID_BYTES]
