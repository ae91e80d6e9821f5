"""How CodeMie's tools write credentials: AES under a key made of the machine's name, entries named by URL.

This hides secrets from a glance, not from whoever can read the file: the key is no secret. The files' mode and the
keyring are the protection.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from codemie_core.urls import origin_of

Kind = Literal["sso", "jwt"]

_IV_BYTES, _TAG_BYTES, _BLOCK_BYTES = 12, 16, 16
_GLOBAL_NAMES = {"sso": "sso-credentials", "jwt": "jwt-credentials"}
_PREFIXES = {"sso": "sso-", "jwt": "jwt-sso-"}

# What Python calls it -> Node's process.arch.
_ARCHITECTURES = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "ia32",
    "i486": "ia32",
    "i586": "ia32",
    "i686": "ia32",
    "x86": "ia32",
    "ppc64le": "ppc64",
    "loongarch64": "loong64",
}
_PLATFORMS = ("linux", "darwin", "win32", "cygwin", "freebsd", "openbsd", "sunos", "aix", "android")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as Node names it: os.hostname(), os.platform(), os.arch()."""

    hostname: str
    platform: str
    arch: str

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        return cls(socket.gethostname(), node_platform(sys.platform), node_arch(platform.machine()))

    @property
    def key(self) -> bytes:
        """The AES key. CodeMie hashes the hexadecimal text of the first hash, not its bytes."""
        inner = hashlib.sha256(f"{self.hostname}{self.platform}{self.arch}".encode()).hexdigest()
        return hashlib.sha256(inner.encode("ascii")).digest()


def node_platform(name: str) -> str:
    """sys.platform in Node's words: without the release that BSDs append."""
    return next((known for known in _PLATFORMS if name.startswith(known)), name)


def node_arch(machine: str) -> str:
    """platform.machine() in Node's words."""
    name = machine.lower()
    return _ARCHITECTURES.get(name) or ("arm" if name.startswith("arm") else name)


def key_name(kind: Kind, url: str) -> str:
    """The entry for exactly this URL: hashed in lower case, without one slash at the end."""
    return _PREFIXES[kind] + hashlib.sha256(url.lower().removesuffix("/").encode()).hexdigest()


def origin_key_name(kind: Kind, url: str) -> str:
    """The entry for the URL's scheme, host and port, whatever its path. ValueError when it has none."""
    return key_name(kind, origin_of(url))


def global_name(kind: Kind) -> str:
    """The entry of tools older than per-URL sign-ins."""
    return _GLOBAL_NAMES[kind]


def encrypt(text: str, machine: Machine, entropy: Callable[[int], bytes] = os.urandom) -> str:
    """`hex(iv):hex(tag):hex(ciphertext)`, AES-256-GCM under a fresh iv."""
    iv = entropy(_IV_BYTES)
    sealed = AESGCM(machine.key).encrypt(iv, text.encode(), None)
    return ":".join(part.hex() for part in (iv, sealed[-_TAG_BYTES:], sealed[:-_TAG_BYTES]))


def decrypt(text: str, machine: Machine) -> str:
    """What `encrypt` wrote, or the older `hex(iv):hex(ciphertext)` of AES-256-CBC.

    ValueError when it is neither or another machine's; its words repeat nothing of the content.
    """
    try:
        parts = [bytes.fromhex(part) for part in text.strip().split(":")]
    except ValueError:
        raise ValueError("it is not in CodeMie's format") from None
    match parts:
        case [iv, tag, sealed] if len(iv) >= 8 and len(tag) == _TAG_BYTES:
            return _text(_open_gcm(iv, sealed + tag, machine.key))
        case [iv, sealed] if len(iv) == _BLOCK_BYTES and sealed and len(sealed) % _BLOCK_BYTES == 0:
            return _text(_open_cbc(iv, sealed, machine.key))
    raise ValueError("it is not in CodeMie's format")


_NOT_OURS = "it was written under another host name, or is damaged"


def _open_gcm(iv: bytes, sealed: bytes, key: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(iv, sealed, None)
    except (InvalidTag, ValueError):
        raise ValueError(_NOT_OURS) from None


def _open_cbc(iv: bytes, sealed: bytes, key: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    padded = decryptor.update(sealed) + decryptor.finalize()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise ValueError(_NOT_OURS) from None


def _text(plain: bytes) -> str:
    try:
        return plain.decode()
    except UnicodeDecodeError:
        # CBC has no seal: a wrong key is seen by what comes out.
        raise ValueError(_NOT_OURS) from None
