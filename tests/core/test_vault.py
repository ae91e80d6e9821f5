"""The vault: what it seals opens only here, only as what it was sealed as, and only with the right key."""

import base64
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.vault import Vault, VaultError, VaultPlace, key_of, open_vault, pending_folder
from support import secret_service

PLANTED = "planted-secret-of-main"
ABOUT = "account:1"
NO_KEYRING = {"CODEMIE_KEYRING": "0"}


class Ring:
    """A keyring in memory; `keeps` turned off it takes texts and gives nothing back, as a locked one does."""

    def __init__(self, keeps: bool = True, takes: bool = True) -> None:
        self.texts: dict[str, str] = {}
        self.keeps, self.takes = keeps, takes

    def read(self, accounts: Iterable[str]) -> dict[str, str]:
        return {name: self.texts[name] for name in accounts if name in self.texts} if self.keeps else {}

    def write(self, account: str, text: str) -> bool:
        if self.takes:
            self.texts[account] = text
        return self.takes

    def delete(self, account: str) -> bool:
        return self.texts.pop(account, None) is not None


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def file(places: Places) -> Path:
    return places.proxy / "vault.key"


def made(places: Places, ring: Ring | None = None) -> Vault:
    """The vault of a home that has none yet."""
    return open_vault(places, NO_KEYRING, {}, may_create=True, keychain=ring)


def checks(vault: Vault) -> dict[str, bytes]:
    return {vault.key_id: vault.check()}


def test_what_is_sealed_opens_again_and_is_never_the_same_twice() -> None:
    vault = Vault.fresh()
    first, second = vault.seal(PLANTED, ABOUT), vault.seal(PLANTED, ABOUT)
    assert vault.open(first, ABOUT).get_secret_value() == vault.open(second, ABOUT).get_secret_value() == PLANTED
    assert first != second
    assert PLANTED.encode() not in first
    assert key_of(first) == vault.key_id


def test_moved_to_another_row_it_does_not_open() -> None:
    vault = Vault.fresh()
    with pytest.raises(VaultError, match="damaged or does not belong there"):
        vault.open(vault.seal(PLANTED, ABOUT), "account:2")


def test_every_changed_byte_is_noticed() -> None:
    vault = Vault.fresh()
    sealed = vault.seal(PLANTED, ABOUT)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(VaultError):
            vault.open(bytes(changed), ABOUT)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 16, 17, 32])
def test_a_blob_that_was_cut_is_an_error_of_the_vault(length: int) -> None:
    vault = Vault.fresh()
    with pytest.raises(VaultError):
        vault.open(vault.seal(PLANTED, ABOUT)[:length], ABOUT)


def test_another_key_does_not_open_it_and_the_error_names_the_key() -> None:
    mine, other = Vault.fresh(), Vault.fresh("/somewhere/vault.key")
    with pytest.raises(VaultError, match=f"sealed with the key {mine.key_id}, which is not in /somewhere/vault.key"):
        other.open(mine.seal(PLANTED, ABOUT), ABOUT)


def test_neither_key_nor_secret_can_be_seen_in_it() -> None:
    vault = Vault.fresh()
    with pytest.raises(VaultError) as refused:
        vault.open(vault.seal(PLANTED, ABOUT), "account:2")
    [key] = vault._keys.values()
    secret_parts = key.hex(), base64.b64encode(key).decode(), str(key), PLANTED
    for text in (repr(vault), str(vault), str(refused.value), repr(vault.open(vault.seal(PLANTED, ABOUT), ABOUT))):
        assert not any(part in text for part in secret_parts)


def test_a_new_key_seals_and_the_one_before_it_still_opens() -> None:
    first = Vault.fresh()
    old = first.seal(PLANTED, ABOUT)
    second = first.with_new_key()
    assert second.key_id != first.key_id == key_of(old)
    assert second.open(old, ABOUT).get_secret_value() == PLANTED
    assert key_of(second.seal(PLANTED, ABOUT)) == second.key_id


def test_keys_before_the_last_go_unless_something_waits_that_was_sealed_with_them() -> None:
    first = Vault.fresh()
    second = first.with_new_key()
    third = second.with_new_key()
    assert third.key_ids == {second.key_id, third.key_id}
    assert second.with_new_key(keep={first.key_id, "", "unknown"}).key_ids >= {first.key_id, second.key_id}


def test_the_first_one_makes_a_key_that_nobody_else_can_read(places: Places, file: Path) -> None:
    vault = made(places)
    assert vault.place == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    again = open_vault(places, NO_KEYRING, checks(vault))
    assert again.open(vault.seal(PLANTED, ABOUT), ABOUT).get_secret_value() == PLANTED
    assert made(places).key_id == vault.key_id, "a key that is there is used, not replaced"


def test_a_new_key_is_on_the_disk_before_anything_is_sealed_with_it(
    places: Places, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def replacing(source: str, target: Path) -> None:
        done.append("in place")
        replace(source, target)

    monkeypatch.setattr("os.fsync", syncing)
    monkeypatch.setattr("os.replace", replacing)
    made(places)
    assert done == ["file", "in place", "folder"]


def test_without_its_key_nothing_opens_and_no_other_is_made(places: Places, file: Path) -> None:
    known = checks(made(places))
    file.unlink()
    with pytest.raises(VaultError, match=r"not .*vault\.key has the key to them. Restore the file from a backup"):
        open_vault(places, NO_KEYRING, known, may_create=True)
    assert not file.exists()


def test_it_is_made_only_where_that_is_asked_for(places: Places, file: Path) -> None:
    with pytest.raises(VaultError):
        open_vault(places, NO_KEYRING, {})
    assert not file.exists()


def test_a_wrong_key_is_refused_and_the_place_named(places: Places, file: Path) -> None:
    made(places)
    before = file.read_bytes()
    with pytest.raises(VaultError, match=r"the key in .*vault\.key is not the one .*: restore it from a backup"):
        open_vault(places, NO_KEYRING, checks(Vault.fresh()), may_create=True)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"{}", b"nonsense", b"\xff\xfe", b'{"current": "x", "keys": []}', b"[]", b" "])
def test_a_file_that_holds_no_key_is_refused(places: Places, file: Path, content: bytes) -> None:
    known = checks(made(places))
    file.write_bytes(content)
    with pytest.raises(VaultError, match="holds no vault key: restore it"):
        open_vault(places, NO_KEYRING, known, may_create=True)
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666, 0o777])
def test_a_key_that_others_can_read_or_write_is_refused(places: Places, file: Path, mode: int) -> None:
    known = checks(made(places))
    file.chmod(mode)
    with pytest.raises(VaultError, match=f"may be read by others, .* run: chmod 600 {file}"):
        open_vault(places, NO_KEYRING, known)
    file.chmod(0o600)
    open_vault(places, NO_KEYRING, known)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_something_else_in_the_files_place_is_refused_at_once(
    places: Places, file: Path, tmp_path: Path, kind: str
) -> None:
    known = checks(made(places))
    kept = file.rename(tmp_path / "kept")
    if kind == "link":
        file.symlink_to(kept)
    elif kind == "pipe":
        os.mkfifo(file, 0o600)
    else:
        file.mkdir(0o700)
    with pytest.raises(VaultError, match=r"vault\.key"):
        open_vault(places, NO_KEYRING, known, may_create=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(places: Places, file: Path) -> None:
    known = checks(made(places))
    os.chown(file, 65534, -1)
    with pytest.raises(VaultError, match="is not a file of your own"):
        open_vault(places, NO_KEYRING, known)


def test_the_database_says_which_of_the_keys_seals(places: Places) -> None:
    first = made(places)
    second = VaultPlace(places, NO_KEYRING).save(first.with_new_key())
    assert open_vault(places, NO_KEYRING, checks(first)).key_id == first.key_id, "the rotation was not committed"
    assert open_vault(places, NO_KEYRING, checks(second)).key_id == second.key_id
    assert open_vault(places, NO_KEYRING, checks(first)).key_ids == {first.key_id, second.key_id}


def test_a_keyring_that_keeps_it_has_it_and_the_disk_has_not(places: Places, file: Path) -> None:
    ring = Ring()
    vault = made(places, ring)
    assert vault.place == "the system's keyring"
    assert not file.exists()
    assert open_vault(places, NO_KEYRING, checks(vault), keychain=ring).key_id == vault.key_id


@pytest.mark.parametrize("ring", [Ring(takes=False), Ring(keeps=False)], ids=["takes nothing", "gives nothing back"])
def test_with_a_keyring_that_does_not_keep_it_the_file_has_it(places: Places, file: Path, ring: Ring) -> None:
    vault = made(places, ring)
    assert vault.place == str(file)
    assert open_vault(places, NO_KEYRING, checks(vault), keychain=ring).key_id == vault.key_id
    assert not ring.texts


def test_a_rotation_that_the_keyring_does_not_take_leaves_the_key_there(places: Places, file: Path) -> None:
    ring = Ring()
    vault = made(places, ring)
    ring.takes = False
    with pytest.raises(VaultError, match="does not take the vault's key"):
        VaultPlace(places, NO_KEYRING, ring).save(vault.with_new_key())
    assert open_vault(places, NO_KEYRING, checks(vault), keychain=ring).key_id == vault.key_id
    assert not file.exists()


def test_a_rotation_that_the_keyring_takes_and_does_not_give_back_is_not_undone_by_deleting(places: Places) -> None:
    ring = Ring()
    vault = made(places, ring)
    ring.keeps = False
    with pytest.raises(VaultError, match="does not take the vault's key"):
        VaultPlace(places, NO_KEYRING, ring).save(vault.with_new_key())
    ring.keeps = True
    assert open_vault(places, NO_KEYRING, checks(vault), keychain=ring).key_id == vault.key_id


def test_a_key_from_the_keyring_is_not_rotated_where_no_keyring_answers(places: Places, file: Path) -> None:
    vault = made(places, Ring())
    with pytest.raises(VaultError, match="keyring does not answer here"):
        VaultPlace(places, NO_KEYRING).save(vault.with_new_key())
    assert not file.exists()


def test_where_no_keyring_answers_the_error_says_that_the_key_may_be_in_it(places: Places) -> None:
    known = checks(made(places, Ring()))
    with pytest.raises(VaultError, match="no keyring answers here, start it where one does"):
        open_vault(places, NO_KEYRING, known)


def test_of_keyring_and_file_the_one_that_fits_the_database_counts(places: Places, file: Path) -> None:
    ring = Ring()
    stale = made(places, ring)
    right = made(places)
    assert stale.key_id != right.key_id
    assert open_vault(places, NO_KEYRING, checks(right), keychain=ring).place == str(file)
    assert open_vault(places, NO_KEYRING, checks(stale), keychain=ring).place == "the system's keyring"
    with pytest.raises(VaultError, match=r"the key in the system's keyring and in .*vault\.key is not the one"):
        open_vault(places, NO_KEYRING, checks(Vault.fresh()), keychain=ring)


def test_each_home_has_an_entry_of_its_own_in_the_keyring(tmp_path: Path) -> None:
    ring = Ring()
    vaults = {made(Places(tmp_path / name), ring).key_id for name in ("one", "two")}
    assert len(vaults) == len(ring.texts) == 2


def test_tokens_that_wait_have_a_folder_of_their_own(places: Places) -> None:
    assert pending_folder(places) == places.proxy / "pending"


def test_a_real_keyring_keeps_the_key_over_a_rotation(tmp_path: Path) -> None:
    program = """
import os
from codemie_core.places import Places
from codemie_core.vault import VaultPlace, open_vault
places = Places.from_env(os.environ)
first = open_vault(places, os.environ, {}, may_create=True)
second = VaultPlace(places, os.environ).save(open_vault(places, os.environ, {}).with_new_key())
again = open_vault(places, os.environ, {second.key_id: second.check()})
blob = first.seal("planted", "account:1")
print(again.place, again.open(blob, "account:1").get_secret_value(), (places.proxy / "vault.key").exists())
"""
    (tmp_path / "program.py").write_text(program)
    said = secret_service.run(f'python "{tmp_path}/program.py"', tmp_path)
    assert said.strip() == "the system's keyring planted False"
