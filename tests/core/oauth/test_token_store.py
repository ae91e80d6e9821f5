"""Tokens in the database: opened and sealed in the transaction they are read and written in."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection

from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.oauth import pending
from codemie_core.oauth.token_store import LEASE, Stored, TokenStore
from codemie_core.store.accounts import remove_account
from codemie_core.store.secrets import drop_secret, replace_secret
from codemie_core.vault import Vault
from support.keeping import warnings
from support.signed_in import SignedIn, tokens_of

NOW = 1_800_000_000.0
OLD, NEW, NEWER = (tokens_of(generation, now=NOW + generation) for generation in range(3))


@pytest.fixture
def home(codemie_home: Path) -> SignedIn:
    return SignedIn(codemie_home, OLD)


def store_of(home: SignedIn, holder: str = "one", clock: Callable[[], float] = lambda: NOW) -> TokenStore:
    return TokenStore(home.places, VaultDoor(home.places, home.environ).vault_for, holder, "a test", clock)


def found(home: SignedIn) -> Stored:
    return home.stored.read(lambda connection: store_of(home).found(connection, home.main))


def adopted(home: SignedIn) -> Stored:
    return home.stored.write(lambda connection: store_of(home).adopted(connection, home.main))


def left_over(home: SignedIn, vault: Vault | None = None) -> bytes:
    """As a process leaves it that was killed with new tokens."""
    ours = home.stored.read(home.stored.vault)
    return pending.keep(home.places, vault or ours, home.main.id, NEW)


def test_what_is_stored_is_found_with_its_version(home: SignedIn) -> None:
    assert found(home) == Stored(OLD, 1)
    home.stored.change("main", needs_login=True)
    assert found(home) == Stored(OLD, 1, over=True)


def test_what_is_not_there_is_told(home: SignedIn) -> None:
    home.stored.write(lambda connection: drop_secret(connection, home.main.id))
    with pytest.raises(SecretTrouble, match="account main: the vault holds no sign-in for it"):
        found(home)
    home.stored.write(lambda connection: remove_account(connection, home.main.id, "a test"))
    with pytest.raises(SecretTrouble, match="account main: it was removed"):
        found(home)


def test_a_secret_that_is_no_sign_in_is_told_and_not_shown(home: SignedIn) -> None:
    def work(connection: Connection) -> None:
        sealed = home.stored.vault(connection).seal("planted-key", f"account:{home.main.id}")
        replace_secret(connection, home.main.id, sealed, None)

    home.stored.write(work)
    with pytest.raises(SecretTrouble, match="its sign-in cannot be read") as trouble:
        found(home)
    assert "planted" not in str(trouble.value)


def test_tokens_are_replaced_only_when_nobody_else_has(home: SignedIn) -> None:
    store = store_of(home)
    assert home.stored.write(lambda c: store.put(c, home.main, NEW, 1)) == Stored(NEW, 2)
    assert home.stored.write(lambda c: store.put(c, home.main, NEWER, 1)) == Stored(NEW, 2)
    assert home.tokens == NEW


def test_one_at_a_time_has_the_lease_until_it_gives_it_back_or_it_runs_out(home: SignedIn) -> None:
    now = [NOW]
    one, other = (store_of(home, holder, lambda: now[0]) for holder in ("one", "other"))

    def leases(store: TokenStore) -> bool:
        return home.stored.write(lambda connection: store.leased(connection, home.main))[0]

    assert leases(one)
    assert leases(one)
    assert not leases(other)
    home.stored.write(lambda connection: other.release(connection, home.main))
    assert not leases(other)
    home.stored.write(lambda connection: one.release(connection, home.main))
    assert leases(other)
    now[0] += LEASE
    assert leases(one)


def test_what_a_killed_process_left_is_stored(home: SignedIn, caplog: pytest.LogCaptureFixture) -> None:
    sealed = left_over(home)
    assert adopted(home) == Stored(NEW, 2, left_over=sealed)
    assert home.tokens == NEW
    assert adopted(home) == Stored(NEW, 2, left_over=sealed)
    assert warnings(caplog) == ["account main: tokens were renewed and not stored; they are now"]


def test_a_newer_sign_in_counts_more_than_what_was_left(home: SignedIn) -> None:
    sealed = left_over(home)
    home.replace(NEWER)
    assert adopted(home) == Stored(NEWER, 2, left_over=sealed)


def test_what_was_left_opens_after_the_vaults_key_was_rotated(home: SignedIn) -> None:
    left_over(home)
    for _ in range(3):
        home.rotate()
    assert adopted(home).tokens == NEW


def test_what_was_left_and_does_not_open_stays_where_it_is(home: SignedIn, caplog: pytest.LogCaptureFixture) -> None:
    left_over(home, Vault.fresh())
    assert adopted(home) == Stored(OLD, 1)
    assert pending.lying(home.places, home.main.id) is not None
    assert "cannot be read" in warnings(caplog)[0]


def test_the_end_of_a_sign_in_is_flagged_unless_it_was_replaced(home: SignedIn) -> None:
    store = store_of(home)
    home.replace(NEW)
    assert home.stored.write(lambda c: store.ended(c, home.main, "invalid_grant", 1)) == Stored(NEW, 2)
    assert not home.account.needs_login
    for _ in range(2):
        assert home.stored.write(lambda c: store.ended(c, home.main, "invalid_grant", 2)) == Stored(NEW, 2, True)
    assert home.account.needs_login
    assert [event.reason for event in home.stored.events("main") if event.event == "sign in again"] == ["invalid_grant"]


def test_a_sign_in_has_not_ended_when_its_heir_lies_in_a_file(home: SignedIn) -> None:
    left_over(home)
    after = home.stored.write(lambda c: store_of(home).ended(c, home.main, "invalid_grant", 1))
    assert (after.tokens, after.over) == (NEW, False)
    assert not home.account.needs_login


def test_nothing_of_it_is_in_a_repr(home: SignedIn) -> None:
    assert "planted" not in repr(found(home))
    assert isinstance(found(home).tokens.access, SecretStr)
