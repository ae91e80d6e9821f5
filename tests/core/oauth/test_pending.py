"""Tokens in files, until the database has them."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.oauth import pending
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.vault import Vault, key_of, pending_folder

TOKENS = Tokens(SecretStr("planted-a1"), SecretStr("planted-r1"), 2.0, 1.0, "", "lab")
OTHERS = Tokens(SecretStr("planted-a2"), SecretStr("planted-r2"), 3.0, 2.0, "", "lab")


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def test_a_file_is_sealed_and_for_its_owner_alone(places: Places) -> None:
    vault = Vault.fresh()
    sealed = pending.keep(places, vault, "id-1", TOKENS)
    (file,) = pending_folder(places).iterdir()
    assert file.read_bytes() == sealed == pending.lying(places, "id-1")
    assert b"planted" not in sealed
    assert key_of(sealed) == vault.key_id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert Tokens.parse(vault.open(sealed, "account:id-1").get_secret_value()) == TOKENS


def test_a_file_goes_only_while_it_holds_what_was_stored(places: Places) -> None:
    vault = Vault.fresh()
    former = pending.keep(places, vault, "id-1", TOKENS)
    newer = pending.keep(places, vault, "id-1", OTHERS)
    pending.drop(places, "id-1", former)
    assert pending.lying(places, "id-1") == newer
    pending.drop(places, "id-1", newer)
    assert pending.lying(places, "id-1") is None
    pending.drop(places, "id-1", newer)


def test_the_files_of_an_account_that_is_gone_go_too(places: Places) -> None:
    pending.keep(places, Vault.fresh(), "id-1", TOKENS)
    pending.drop_all(places, "id-1")
    pending.drop_all(places, "id-1")
    assert list(pending.waiting(places)) == []


def test_those_that_wait_are_found(places: Places) -> None:
    assert list(pending.waiting(places)) == []
    for account_id in ("id-2", "id-1"):
        pending.keep(places, Vault.fresh(), account_id, TOKENS)
    (pending_folder(places) / ".id-3.tmp").write_bytes(b"half")
    assert list(pending.waiting(places)) == ["id-1", "id-2"]


@pytest.mark.parametrize("account_id", ["", "..", "../vault.key", "a/b", ".hidden", "a\0b"])
def test_an_id_never_leads_elsewhere(account_id: str, places: Places) -> None:
    with pytest.raises(ValueError, match="no id of an account"):
        pending.lying(places, account_id)
