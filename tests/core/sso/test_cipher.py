"""CodeMie's cipher and names, against its own vector and two other implementations: Node's and OpenSSL's command."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.sso.cipher import (
    Kind,
    Machine,
    decrypt,
    encrypt,
    global_name,
    key_name,
    node_arch,
    node_platform,
    origin_key_name,
)
from support.programs import absent

DEVBOX = Machine("devbox", "linux", "x64")
KEY = "2761b5eaf31df37f7ae98b348608b60a0106660fa479055dc0fae20ad46bd683"
IV = "000102030405060708090a0b"
TAG = "2f771a10f36a6675953ffc533c144e3a"
PLAIN = (
    '{"cookies":{"session":"abc"},"apiUrl":"https://codemie.lab.epam.com/code-assistant-api","expiresAt":1893456000000}'
)
HOST_KEY = "cb66bf94a64293cbee54a8300bd3f595a4809cc12a1a187b7d760e20c2bf7d54"

NODE = shutil.which("node")
OPENSSL = shutil.which("openssl")

# What CodeMie's tools do, in the language they are written in.
# argv: encrypt-gcm, encrypt-cbc or decrypt, then the key; the text is on stdin.
NODE_PROGRAM = """
const crypto = require('crypto'), fs = require('fs');
const [, what, hex] = process.argv, key = Buffer.from(hex, 'hex'), text = fs.readFileSync(0, 'utf8');
if (what === 'decrypt') {
  const parts = text.split(':').map(part => Buffer.from(part, 'hex'));
  const gcm = parts.length === 3;
  const decipher = crypto.createDecipheriv(gcm ? 'aes-256-gcm' : 'aes-256-cbc', key, parts[0]);
  if (gcm) decipher.setAuthTag(parts[1]);
  process.stdout.write(Buffer.concat([decipher.update(parts[parts.length - 1]), decipher.final()]));
} else {
  const gcm = what === 'encrypt-gcm', iv = crypto.randomBytes(gcm ? 12 : 16);
  const cipher = crypto.createCipheriv(gcm ? 'aes-256-gcm' : 'aes-256-cbc', key, iv);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  process.stdout.write([iv, ...(gcm ? [cipher.getAuthTag()] : []), sealed].map(b => b.toString('hex')).join(':'));
}
"""


def node(what: str, text: str) -> str:
    if NODE is None:
        absent("node is not installed: CodeMie's own language cannot answer")
    command = [NODE, "-e", NODE_PROGRAM, what, KEY]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=30).stdout.decode()


def openssl_cbc(*options: str, data: bytes) -> bytes:
    if OPENSSL is None:
        absent("openssl is not installed: nobody else can write the older cipher")
    command = [OPENSSL, "enc", "-aes-256-cbc", "-K", KEY, *options]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=30).stdout


def gcm_by_hand(text: str) -> str:
    """AES-GCM from its definition (NIST SP 800-38D), with AES itself as the only borrowed part."""
    block = Cipher(algorithms.AES(bytes.fromhex(KEY)), modes.ECB()).encryptor()

    def times(x: int, y: int) -> int:
        product = 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                product ^= y
            y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
        return product

    iv, tag, sealed = (bytes.fromhex(part) for part in text.split(":"))
    hash_key = int.from_bytes(block.update(bytes(16)))
    digest = 0
    padded = sealed + bytes(-len(sealed) % 16) + bytes(8) + (8 * len(sealed)).to_bytes(8)
    for start in range(0, len(padded), 16):
        digest = times(digest ^ int.from_bytes(padded[start : start + 16]), hash_key)
    assert (digest ^ int.from_bytes(block.update(iv + b"\0\0\0\1"))).to_bytes(16) == tag
    blocks = range(2, 2 + -(-len(sealed) // 16))
    stream = b"".join(block.update(iv + counter.to_bytes(4)) for counter in blocks)
    return bytes(a ^ b for a, b in zip(sealed, stream, strict=False)).decode()


def test_the_key_is_the_one_of_codemies_vector() -> None:
    assert DEVBOX.key.hex() == KEY


def test_the_cipher_text_is_the_one_of_codemies_vector() -> None:
    written = encrypt(PLAIN, DEVBOX, lambda size: bytes.fromhex(IV)[:size])
    assert written.startswith(f"{IV}:{TAG}:d394f9a1dd85bc67")
    assert decrypt(written, DEVBOX) == PLAIN


@pytest.mark.parametrize("text", ["", "a", "x" * 16, PLAIN, "Ünï ☃ \U0001f600 " * 50])
def test_ours_is_read_by_an_implementation_from_the_standard_and_by_node(text: str) -> None:
    assert gcm_by_hand(encrypt(text, DEVBOX)) == text
    assert node("decrypt", encrypt(text, DEVBOX)) == text


@pytest.mark.parametrize("how", ["encrypt-gcm", "encrypt-cbc"])
def test_what_node_writes_in_either_cipher_is_read(how: str) -> None:
    for text in (PLAIN, "Ünï ☃ \U0001f600", "x" * 16):
        assert decrypt(node(how, text), DEVBOX) == text


def test_what_openssl_writes_in_the_older_cipher_is_read() -> None:
    iv = "0f0e0d0c0b0a09080706050403020100"
    for text in (PLAIN, "Ünï ☃", "x" * 32):
        sealed = openssl_cbc("-iv", iv, data=text.encode())
        assert decrypt(f"{iv}:{sealed.hex()}", DEVBOX) == text
        assert decrypt(f" {iv}:{sealed.hex().upper()}\n", DEVBOX) == text


def test_every_writing_has_an_iv_of_its_own() -> None:
    assert len({encrypt(PLAIN, DEVBOX).split(":")[0] for _ in range(50)}) == 50


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert decrypt(encrypt(text, DEVBOX), DEVBOX) == text


@given(st.text())
def test_garbage_is_a_reason_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is|it was"):
        decrypt(text, DEVBOX)


@pytest.mark.parametrize(
    "other", [Machine("other", "linux", "x64"), Machine("devbox", "darwin", "x64"), Machine("devbox", "linux", "arm64")]
)
def test_another_machine_cannot_read_it_and_is_told_why(other: Machine) -> None:
    cbc = "0f0e0d0c0b0a09080706050403020100:" + "00" * 32
    for text in (encrypt(PLAIN, DEVBOX), cbc):
        with pytest.raises(ValueError, match="another host name"):
            decrypt(text, other)


def test_a_changed_digit_anywhere_is_noticed() -> None:
    written = encrypt(PLAIN, DEVBOX)
    for place in (0, 30, len(written) - 1):
        changed = written[:place] + ("0" if written[place] != "0" else "1") + written[place + 1 :]
        with pytest.raises(ValueError, match="another host name, or is damaged"):
            decrypt(changed, DEVBOX)


@pytest.mark.parametrize(
    "text", ["", ":", "::", "a:b", "00:11:22", "00" * 12 + ":" + "11" * 4 + ":22", "zz:11", "1:2:3:4"]
)
def test_what_is_not_in_the_format_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="not in CodeMie's format"):
        decrypt(text, DEVBOX)


@pytest.mark.parametrize(
    "kind, url, name",
    [
        ("sso", "https://codemie.lab.epam.com", f"sso-{HOST_KEY}"),
        ("sso", "https://CodeMie.lab.EPAM.com/", f"sso-{HOST_KEY}"),
        ("jwt", "https://codemie.lab.epam.com", f"jwt-sso-{HOST_KEY}"),
    ],
)
def test_entries_are_named_as_in_codemies_vector(kind: Kind, url: str, name: str) -> None:
    assert key_name(kind, url) == name
    assert origin_key_name(kind, url + "/code-assistant-api") == name


def test_a_raw_url_keeps_its_path_and_loses_one_slash() -> None:
    expected = "sso-" + hashlib.sha256(b"https://h/api/").hexdigest()
    assert key_name("sso", "https://H/Api//") == expected
    assert (global_name("sso"), global_name("jwt")) == ("sso-credentials", "jwt-credentials")


@pytest.mark.parametrize(
    "machine, arch",
    [
        ("x86_64", "x64"),
        ("AMD64", "x64"),
        ("aarch64", "arm64"),
        ("armv7l", "arm"),
        ("i686", "ia32"),
        ("s390x", "s390x"),
    ],
)
def test_architectures_have_nodes_names(machine: str, arch: str) -> None:
    assert node_arch(machine) == arch


def test_platforms_have_nodes_names() -> None:
    found = [node_platform(name) for name in ("linux", "darwin", "win32", "freebsd14", "sunos5")]
    assert found == ["linux", "darwin", "win32", "freebsd", "sunos"]


def test_this_machine_has_the_names_node_gives_it() -> None:
    here = Machine.here()
    assert here.hostname == socket.gethostname()
    if NODE is None:
        absent("node is not installed: nobody to compare with")
    asked = "const os = require('os'); process.stdout.write([os.hostname(), os.platform(), os.arch()].join())"
    answer = subprocess.run([NODE, "-e", asked], capture_output=True, check=True, timeout=30).stdout.decode()
    assert answer == f"{here.hostname},{here.platform},{here.arch}"
    assert sys.platform.startswith(here.platform)
