"""Client keys: making, finding, revoking and keeping them."""

import hashlib
import json
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from codemie_core.access.client_keys import ClientKey, KeyRing, KeyStore, keys_file, read_ring
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from support.cli import environ

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def store(codemie_home: Path) -> KeyStore:
    return KeyStore(Places(codemie_home), now=lambda: NOW)


def added(store: KeyStore, name: str) -> tuple[ClientKey, bytes]:
    entry, secret = store.add(name)
    return entry, secret.get_secret_value().encode()


def test_a_key_is_recognisable_random_and_names_its_id(store: KeyStore) -> None:
    made = [added(store, f"user {n}") for n in range(20)]
    for entry, key in made:
        assert re.fullmatch(rf"cmk_{entry.id}_[A-Za-z0-9_-]{{43}}", key.decode())
        assert len(entry.id) == 8
    assert len({key[-43:] for _, key in made}) == 20


def test_the_file_holds_a_hash_and_not_the_key(store: KeyStore) -> None:
    entry, key = added(store, "ann")
    text = store.path.read_text()
    assert key.decode()[-43:] not in text
    assert json.loads(text) == {
        "version": 1,
        "keys": [
            {
                "id": entry.id,
                "name": "ann",
                "sha256": hashlib.sha256(key).hexdigest(),
                "created_at": "2026-05-04T12:30:00Z",
                "revoked_at": None,
            }
        ],
    }


def test_the_file_is_private_and_so_is_its_folder(store: KeyStore) -> None:
    store.add("ann")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.with_suffix(".lock").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_no_repr_shows_a_key_or_a_hash(store: KeyStore) -> None:
    entry, secret = store.add("ann")
    shown = f"{entry!r} {secret!r} {secret} {store.ring()!r}"
    assert secret.get_secret_value()[-43:] not in shown
    assert entry.sha256 not in shown


def test_a_ring_knows_the_holder_of_each_active_key_and_of_no_other(store: KeyStore) -> None:
    (ann, ann_key), (bob, bob_key), (_, eve_key) = (added(store, name) for name in ("ann", "bob", "eve"))
    store.revoke("eve")
    ring = store.ring()
    assert ring.holder([ann_key]) == ann
    assert ring.holder([bob_key]) == bob
    assert ring.holder([b"cmk_wrong", bob_key, ann_key]) == bob
    for wrong in ([], [b""], [eve_key], [ann_key[:-1]], [ann_key + b"x"], [ann_key.upper()], [ann.sha256.encode()]):
        assert ring.holder(wrong) is None
    assert ring.active(ann.id) == ann
    assert len(ring) == 3


def test_a_revoked_key_stays_in_the_file(store: KeyStore) -> None:
    entry, key = added(store, "ann")
    revoked = store.revoke("ann")
    assert revoked == entry.model_copy(update={"revoked_at": NOW})
    ring = read_ring(store.path)
    assert ring.keys == (revoked,)
    assert (ring.holder([key]), ring.active(entry.id)) == (None, None)


def test_a_key_is_revoked_by_its_id_too(store: KeyStore) -> None:
    first, _ = added(store, "ann")
    second, _ = added(store, "bob")
    assert store.revoke(second.id).name == "bob"
    assert store.ring().active(first.id) == first


def test_a_name_can_be_given_again_once_its_key_is_revoked(store: KeyStore) -> None:
    _, old = added(store, "ann")
    with pytest.raises(SettingsError, match="'ann' has a key already"):
        store.add("ann")
    store.revoke("ann")
    entry, new = added(store, "ann")
    assert store.ring().holder([new]) == entry
    assert store.ring().holder([old]) is None
    assert store.revoke("ann").id == entry.id


@pytest.mark.parametrize("name_or_id", ["ann", "nobody", "", "00000000"])
def test_revoking_what_is_not_active_is_an_error(store: KeyStore, name_or_id: str) -> None:
    store.add("ann")
    store.revoke("ann")
    with pytest.raises(SettingsError, match="no active key is named"):
        store.revoke(name_or_id)


@pytest.mark.parametrize("name", ["", " ann", "ann ", "an\nn", "an\x1bn", "x" * 65, "an\u202en"])
def test_a_name_that_could_fool_a_reader_is_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(SettingsError, match="is no name for a key"):
        store.add(name)
    assert not store.path.exists()


def test_a_name_may_not_be_the_id_of_a_key(store: KeyStore) -> None:
    entry, _ = added(store, "ann")
    with pytest.raises(SettingsError, match="is the id of a key"):
        store.add(entry.id)


def test_without_a_file_there_are_no_keys(codemie_home: Path) -> None:
    assert len(KeyStore(Places(codemie_home)).ring()) == 0
    assert not codemie_home.exists()


ENTRY = {"id": "abcdefgh", "name": "ann", "sha256": "0" * 64, "created_at": "2026-05-04T12:30:00Z", "revoked_at": None}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": [], "more": 1}',
        json.dumps({"version": 1, "keys": [ENTRY | {"sha256": "planted-hash"}]}),
        json.dumps({"version": 1, "keys": [ENTRY | {"expires_at": "2030-01-01T00:00:00Z"}]}),
        json.dumps({"version": 1, "keys": [ENTRY | {"created_at": "2026-05-04T12:30:00"}]}),
        json.dumps({"version": 1, "keys": [ENTRY | {"name": "an\x1b[31mn"}]}),
        json.dumps({"version": 1, "keys": [ENTRY, ENTRY | {"name": "bob"}]}),
    ],
)
def test_a_file_that_is_not_understood_is_an_error_and_stays_as_it_is(store: KeyStore, content: str) -> None:
    store.path.parent.mkdir(parents=True)
    store.path.write_text(content)
    with pytest.raises(SettingsError, match=re.escape(str(store.path))) as problem:
        store.ring()
    assert "planted" not in str(problem.value)
    with pytest.raises(SettingsError):
        store.add("ann")
    assert store.path.read_text() == content


def test_a_file_that_cannot_be_read_is_an_error(store: KeyStore) -> None:
    store.path.mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be read"):
        store.ring()


ADD_MANY = """
import os, sys
from codemie_core.access.client_keys import KeyStore
from codemie_core.places import Places
sys.stdin.readline()
for n in range(20):
    KeyStore(Places.from_env(os.environ)).add(f"{sys.argv[1]}-{n}")
"""


def test_processes_that_add_keys_at_once_lose_none(store: KeyStore) -> None:
    command = [sys.executable, "-c", ADD_MANY]
    writers = [subprocess.Popen([*command, name], env=environ(), stdin=subprocess.PIPE) for name in "abc"]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert {key.name for key in store.ring().keys} == {f"{name}-{n}" for name in "abc" for n in range(20)}


def test_an_empty_ring_holds_nobody() -> None:
    assert KeyRing().holder([b"cmk_anything"]) is None


def test_the_file_is_ours_alone(codemie_home: Path) -> None:
    assert keys_file(Places(codemie_home)) == codemie_home / "proxy" / "keys.json"
