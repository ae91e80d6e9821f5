"""Client keys: who may use this proxy. `proxy/keys.json` holds names and hashes, never a key.

A key reads `cmk_<id>_<256 bits>`, so that people, scanners and our own redaction know one when they see it. Hashing it
once is enough: nobody guesses 256 random bits, so there is nothing a slow hash would slow down.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from codemie_core.errors import SettingsError
from codemie_core.places import Places

MARK = "cmk_"
LONGEST_NAME = 64
_ID_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 8


class ClientKey(BaseModel):
    """One entry of the file. It stays there when the key is revoked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=rf"^[{_ID_LETTERS}]{{{_ID_LENGTH}}}$")]
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", repr=False)]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None

    @field_validator("name")
    @classmethod
    def _can_be_shown(cls, name: str) -> str:
        # It goes to terminals and into the log.
        if not name.isprintable():
            raise ValueError("a name holds characters that cannot be printed")
        return name

    @property
    def active(self) -> bool:
        """Does it still open anything?"""
        return self.revoked_at is None


class _KeyFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ClientKey, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        # Whether an open tunnel may go on is looked up by id.
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have the same id")
        return self


class KeyRing:
    """The keys as they are at one moment."""

    def __init__(self, keys: Iterable[ClientKey] = ()) -> None:
        self.keys = tuple(keys)
        self._active = {key.id: key for key in self.keys if key.active}
        self._digests = [(key, bytes.fromhex(key.sha256)) for key in self._active.values()]

    def holder(self, offered: Sequence[bytes]) -> ClientKey | None:
        """The entry of the first of these keys that is an active one. Takes as long for a wrong key as for a right."""
        found: ClientKey | None = None
        for key in offered:
            digest = hashlib.sha256(key).digest()
            for entry, known in self._digests:
                same = hmac.compare_digest(digest, known)
                found = found or (entry if same else None)
        return found

    def active(self, key_id: str) -> ClientKey | None:
        """The entry with this id, unless it is revoked."""
        return self._active.get(key_id)

    @property
    def active_count(self) -> int:
        """Keys that open something."""
        return len(self._active)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<KeyRing({len(self._active)} of {len(self.keys)} keys active)>"


class KeyStore:
    """The file, for those who change it."""

    def __init__(self, places: Places, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._places, self._now = places, now
        self.path = keys_file(places)

    def ring(self) -> KeyRing:
        """All keys; none when there is no file. SettingsError when it cannot be read."""
        return read_ring(self.path)

    def add(self, name: str) -> tuple[ClientKey, SecretStr]:
        """A new key for `name`: its entry and the key itself, which nobody can get a second time.

        SettingsError when the name will not do.
        """
        _check_name(name)
        with self._locked():
            keys = self.ring().keys
            if any(key.active and key.name == name for key in keys):
                raise SettingsError(f"{name!r} has a key already: revoke it first, or choose another name")
            if any(key.id == name for key in keys):
                raise SettingsError(f"{name!r} is the id of a key: choose another name")
            taken = {text for key in keys for text in (key.id, key.name)}
            key_id = next(made for made in iter(_new_id, None) if made not in taken)
            secret = f"{MARK}{key_id}_{secrets.token_urlsafe(32)}"
            digest = hashlib.sha256(secret.encode()).hexdigest()
            entry = ClientKey(id=key_id, name=name, sha256=digest, created_at=self._now())
            self._write((*keys, entry))
        return entry, SecretStr(secret)

    def revoke(self, name_or_id: str) -> ClientKey:
        """The entry, revoked from now on. SettingsError when no active key goes by that name or id."""
        with self._locked():
            keys = self.ring().keys
            found = next((key for key in keys if key.active and name_or_id in (key.name, key.id)), None)
            if found is None:
                raise SettingsError(f"no active key is named {name_or_id!r}; see codemie-proxy keys list")
            revoked = found.model_copy(update={"revoked_at": self._now()})
            self._write(revoked if key is found else key for key in keys)
        return revoked

    def _write(self, keys: Iterable[ClientKey]) -> None:
        text = _KeyFile(keys=tuple(keys)).model_dump_json(indent=2)
        self._places.write_private(self.path, f"{text}\n".encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time, over all processes: whoever comes second reads what the first has written."""
        self._places.ensure_private(self.path.parent)
        lock = self.path.with_suffix(".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SettingsError(f"{lock} cannot be written ({error.strerror}); make it writable") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def keys_file(places: Places) -> Path:
    """Where the keys of this home are."""
    return places.proxy / "keys.json"


def read_ring(path: Path) -> KeyRing:
    """The keys in this file; none when there is no file. SettingsError when it cannot be read or understood."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return KeyRing()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); make it readable") from error
    try:
        return KeyRing(_KeyFile.model_validate_json(data).keys)
    except ValidationError as error:
        # Without its input: that is the file's content.
        where = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in where["loc"])
        words = f"{place + ': ' if place else ''}{where['msg'].removeprefix('Value error, ')}"
        raise SettingsError(f"{path} is no list of client keys ({words}); restore it, or remove it") from None


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise SettingsError(
            f"{name[:LONGEST_NAME]!r} is no name for a key: up to {LONGEST_NAME} printable characters, "
            "without spaces at the ends"
        )
