"""The vault: what is secret at rest is sealed with AES-GCM under a key of this home.

The key is in the system's keyring where there is one, else in `proxy/vault.key` (0600). A sealed blob names its key, so
that old and new serve side by side while keys are rotated, and it is bound to what it is about: moved to another row it
does not open. Fails closed: with a wrong or missing key nothing is opened and nothing is made in its place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
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
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _VERSION + bytes.fromhex(self.key_id)
        return head + nonce + self._ciphers[self.key_id].encrypt(nonce, secret.encode(), head + about.encode())

    def open(self, sealed: bytes, about: str) -> SecretStr:
        """What was sealed. VaultError when this vault has not its key, or it is damaged or about something else."""
        head = sealed[: 1 + _ID_BYTES]
        key_id = head[1:].hex()
        if head[:1] != _VERSION or key_id not in self._ciphers:
            raise VaultError(f"a secret was sealed with the key {key_id}, which is not in {self.place or 'the vault'}")
        nonce, rest = sealed[len(head) : len(head) + _NONCE_BYTES], sealed[len(head) + _NONCE_BYTES :]
        try:
            return SecretStr(self._ciphers[key_id].decrypt(nonce, rest, head + about.encode()).decode())
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

    def with_new_key(self) -> Vault:
        """The same with one more key, which seals from now on."""
        key = secrets.token_bytes(_KEY_BYTES)
        return Vault({**self._keys, _id_of(key): key}, _id_of(key), self.place)

    def without_old_keys(self) -> Vault:
        """The same with its current key alone."""
        return Vault({self.key_id: self._keys[self.key_id]}, self.key_id, self.place)

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

    def load(self) -> Vault | None:
        """The vault; None when neither place has one."""
        text = self._keychain.read([self._entry]).get(self._entry) if self._keychain else None
        if text:
            return Vault.parse(text, _KEYRING)
        return Vault.parse(text, str(self.file)) if (text := self._file_text()) else None

    def save(self, vault: Vault) -> Vault:
        """Keep it where it came from; a new one in the keyring, if that gives it back again."""
        text = vault.dump()
        if vault.place != str(self.file) and self._keychain and self._keychain.write(self._entry, text):
            if self._keychain.read([self._entry]).get(self._entry) == text:
                return Vault.parse(text, _KEYRING)
            self._keychain.delete(self._entry)
        if vault.place == _KEYRING:
            raise VaultError(f"{_KEYRING} does not take the vault's key; nothing was changed")
        self._places.write_private(self.file, text.encode())
        return Vault.parse(text, str(self.file))

    def missing(self) -> VaultError:
        """There are secrets, and no key to open them."""
        where = f"neither {_KEYRING} nor {self.file}" if self._keychain else f"not {self.file}"
        hint = "" if self._keychain else f" If it is in {_KEYRING}: no keyring answers here, start it where one does."
        return VaultError(
            f"the database holds sealed secrets, and {where} has the key to them. Restore the file from a backup.{hint}"
        )

    def _file_text(self) -> str:
        try:
            descriptor = os.open(self.file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return ""
        except OSError as problem:
            raise VaultError(f"{self.file} cannot be read ({problem.strerror}): make it a file of your own") from None
        with os.fdopen(descriptor) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                fix = f"run: chmod 600 {self.file}"
                raise VaultError(f"{self.file} may be read by others, so its key is no secret; {fix}")
            try:
                return file.read(65536)
            except UnicodeDecodeError:
                return "?"


def open_vault(
    places: Places,
    environ: Mapping[str, str],
    known: Mapping[str, bytes],
    may_create: bool = False,
    keychain: Keychain | None = None,
) -> Vault:
    """The vault of this home, checked against the database's `known` keys (id -> check).

    VaultError when its key is missing or is not the one; with `may_create` and nothing known a new key is made.
    """
    place = VaultPlace(places, environ, keychain)
    vault = place.load()
    if vault is None:
        if known or not may_create:
            raise place.missing()
        return place.save(Vault.fresh())
    if known and not any(vault.fits(key_id, check) for key_id, check in known.items()):
        fix = "restore the key from a backup, or remove the database and add the accounts anew"
        raise VaultError(f"the key in {vault.place} is not the one the database's secrets were sealed with: {fix}")
    return vault


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"codemie-proxy vault key " + key).hexdigest()[: 2 * _ID_BYTES]
