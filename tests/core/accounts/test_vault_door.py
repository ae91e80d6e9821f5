"""The way into the vault while proxies run and its key is rotated beside them."""

import logging
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection

from codemie_core.accounts.account import Account
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.egress import parse_proxy
from codemie_core.places import Places
from codemie_core.store.accounts import change_account, load_accounts
from codemie_core.store.secrets import sealed_keys
from codemie_core.vault import VaultError, key_of
from codemie_core.vault_rotation import rotate
from support.stored import StoredHome

ENVIRON = {"CODEMIE_KEYRING": "0"}
URL = "https://api.anthropic.com"


@pytest.fixture
def stored(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home, ENVIRON)


@pytest.fixture
def main(stored: StoredHome) -> Account:
    return stored.key("main", URL, "planted-key")


@pytest.fixture
def door(codemie_home: Path) -> VaultDoor:
    return VaultDoor(Places(codemie_home), ENVIRON)


def turn(stored: StoredHome) -> str:
    return stored.write(lambda connection: rotate(connection, stored.places, ENVIRON, "a test", 1)).key_id


def secret(stored: StoredHome, door: VaultDoor, account: Account) -> str:
    found = stored.read(lambda connection: door.secret_of(connection, account))
    return found.get_secret_value() if found else ""


def abroad(stored: StoredHome, *names: str) -> None:
    """Accounts with an outbound proxy that asks for a password."""

    sealed: list[tuple[str, str]] = []
    for name in names:
        account = stored.key(name, URL, "", outbound_proxy=parse_proxy("http://proxy.example:3128", "test"))
        sealed.append((account.id, name))

    def write(connection: Connection) -> None:
        for account_id, name in sealed:
            blob = stored.vault(connection).seal(f"Basic planted-{name}", f"proxy:{account_id}")
            change_account(connection, account_id, "proxy", "", "a test", outbound_proxy_sealed=blob)

    stored.write(write)


def passwords(stored: StoredHome, door: VaultDoor) -> dict[str, SecretStr | None]:
    found = stored.read(lambda connection: door.with_proxies(connection, load_accounts(connection)))
    return {account.name: account.outbound_proxy.authorization for account in found if account.outbound_proxy}


def test_it_opens_what_is_sealed_and_remembers_the_vault(stored: StoredHome, main: Account, door: VaultDoor) -> None:
    assert door.at_hand is None
    assert secret(stored, door, main) == "planted-key"
    vault = door.at_hand
    assert secret(stored, door, main) == "planted-key"
    assert door.at_hand is vault


def test_an_account_with_nothing_sealed_has_no_secret(stored: StoredHome, main: Account, door: VaultDoor) -> None:
    other = stored.key("other", URL, "")
    assert stored.read(lambda connection: door.secret_of(connection, other)) is None


def test_after_a_rotation_it_opens_and_seals_with_the_new_key(
    stored: StoredHome, main: Account, door: VaultDoor
) -> None:
    assert secret(stored, door, main) == "planted-key"
    for _ in range(3):
        new = turn(stored)
        assert secret(stored, door, main) == "planted-key"
        assert key_of(stored.read(door.vault_for).seal("planted", "account:1")) == new


def test_a_new_key_that_the_database_does_not_know_yet_is_not_sealed_with(
    stored: StoredHome, main: Account, door: VaultDoor
) -> None:
    former = stored.read(stored.vault).key_id

    def unfinished(connection: Connection) -> None:
        rotate(connection, stored.places, ENVIRON, "a test", 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored.write(unfinished)
    assert stored.read(door.vault_for).key_id == former
    assert secret(stored, door, main) == "planted-key"


def test_a_key_that_went_missing_is_told_and_found_again_when_it_is_back(
    stored: StoredHome, main: Account, door: VaultDoor
) -> None:
    assert secret(stored, door, main) == "planted-key"
    turn(stored)
    file = stored.places.proxy / "vault.key"
    kept = file.rename(file.with_name("elsewhere"))
    with pytest.raises(VaultError, match="Restore the file from a backup"):
        secret(stored, door, main)
    kept.rename(file)
    assert secret(stored, door, main) == "planted-key"


def test_outbound_proxies_get_their_passwords(stored: StoredHome, main: Account, door: VaultDoor) -> None:
    abroad(stored, "abroad")
    assert passwords(stored, door) == {"abroad": SecretStr("Basic planted-abroad")}


def test_a_damaged_password_of_one_proxy_costs_that_one_alone(
    stored: StoredHome, main: Account, door: VaultDoor, caplog: pytest.LogCaptureFixture
) -> None:
    abroad(stored, "abroad", "broken")
    stored.change("broken", outbound_proxy_sealed=b"\x01damaged")
    assert passwords(stored, door) == {"abroad": SecretStr("Basic planted-abroad"), "broken": None}
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "account broken: the password of its outbound proxy is damaged: add it anew"


def test_without_sealed_proxies_the_vault_is_left_alone(stored: StoredHome, door: VaultDoor) -> None:
    stored.key("main", URL, "")
    assert passwords(stored, door) == {}
    assert door.at_hand is None


def test_what_was_read_before_opens_without_the_database(stored: StoredHome, door: VaultDoor, main: Account) -> None:
    sealed = stored.read(sealed_keys)[main.id]
    assert door.opened(main, sealed) is None, "no vault is open yet"
    stored.read(door.vault_for)
    assert door.opened(main, sealed) == SecretStr("planted-key")
    assert door.opened(main, b"damaged") is None
    turn(stored)
    stored.read(door.vault_for)
    assert door.opened(main, sealed) == SecretStr("planted-key"), "the key before the newest one opens it"
