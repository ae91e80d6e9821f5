"""Renewed tokens on their way into the database: none is lost, whatever the database does."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.oauth import deposit as module
from codemie_core.oauth import pending
from codemie_core.oauth.refresh import TokenKeeper
from codemie_core.store import database
from codemie_core.store.accounts import remove_account
from codemie_core.store.place import database_file
from codemie_core.vault import pending_folder
from support.keeping import quickly, until, warnings
from support.signed_in import SignedIn, tokens_of
from support.token_service import TokenService, access


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


@pytest.fixture
async def home(codemie_home: Path, service: TokenService, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SignedIn]:
    quickly(monkeypatch)
    # What two keepers write beside each other has time.
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 60.0)
    monkeypatch.setattr(module, "RETRY", 0.05)
    made = SignedIn(codemie_home, tokens_of(0))
    service.configure(made.places)
    yield made
    service.open.set()
    await made.end()


@contextmanager
def locked(home: SignedIn) -> Iterator[None]:
    """Another process holds the database, which is noticed soon."""
    with (
        closing(sqlite3.connect(database_file(home.places), isolation_level=None)) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(database, "BUSY_TIMEOUT", 0.05)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def lying(home: SignedIn) -> list[str]:
    return list(pending.waiting(home.places))


async def token(keeper: TokenKeeper, home: SignedIn) -> str:
    return (await keeper.access_token(home.main)).get_secret_value()


async def renewed_while_locked(home: SignedIn, service: TokenService, keeper: TokenKeeper) -> str:
    """The answer comes when the database can no longer be written."""
    service.open.clear()
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    assert await asyncio.to_thread(service.asked.acquire, timeout=60)
    with locked(home):
        service.open.set()
        found = await caller
        assert lying(home) == [home.main.id]
        assert await token(keeper, home) == found
    return found


async def test_nobody_has_a_token_before_the_database_has_it(home: SignedIn) -> None:
    keeper = home.keeper()
    found = await token(keeper, home)
    assert home.tokens.access.get_secret_value() == found == access(1)
    assert home.version == 2
    assert lying(home) == []


async def test_what_the_database_does_not_take_is_used_said_and_stored_later(
    home: SignedIn, service: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = home.keeper()
    assert await renewed_while_locked(home, service, keeper) == access(1)
    await until(lambda: lying(home) == [])
    assert home.tokens.access.get_secret_value() == access(1)
    first, last = (line for line in warnings(caplog) if "renewed sign-in" in line)
    assert "account main: its renewed sign-in is not stored yet: " in first
    assert last == "account main: its renewed sign-in is stored now"
    assert service.calls == 1


async def test_another_version_does_not_take_away_what_is_not_stored_yet(
    home: SignedIn, service: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 60.0)
    keeper = home.keeper()
    await renewed_while_locked(home, service, keeper)
    keeper.take([home.main], {home.main.id: 9})
    assert keeper.at_hand(home.main) is not None


async def test_another_process_finds_in_the_file_what_is_not_stored_yet(
    home: SignedIn, service: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.5)
    keeper, other = home.keeper(), home.keeper()
    await renewed_while_locked(home, service, keeper)
    assert await token(other, home) == access(1)
    assert home.version == 2
    await until(lambda: keeper._deposit.owed(home.main.id) is None)
    assert home.version == 2
    assert service.calls == 1
    assert not home.account.needs_login


async def test_after_the_end_the_file_stays_and_the_next_process_stores_it(
    home: SignedIn, service: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 60.0)
    await renewed_while_locked(home, service, home.keeper())
    await home.end()
    assert home.tokens.access.get_secret_value() == access(0)
    assert lying(home) == [home.main.id]
    home.tell(home.keeper())
    await until(lambda: home.tokens.access.get_secret_value() == access(1))
    await until(lambda: lying(home) == [])
    assert service.calls == 1


async def test_a_file_that_cannot_be_written_is_said_and_the_database_takes_them(
    home: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    pending_folder(home.places).write_text("in the way")
    assert await token(home.keeper(), home) == access(1)
    assert home.tokens.access.get_secret_value() == access(1)
    assert "pending" in warnings(caplog)[0]


async def test_an_account_that_is_removed_meanwhile_is_gone(home: SignedIn, service: TokenService) -> None:
    service.open.clear()
    caller = asyncio.create_task(token(home.keeper(), home))  # noqa: TID251 - awaited below
    assert await asyncio.to_thread(service.asked.acquire, timeout=60)
    home.stored.write(lambda connection: remove_account(connection, home.main.id, "a test"))
    service.open.set()
    with pytest.raises(SecretTrouble, match="account main: it was removed"):
        await caller
    assert lying(home) == []


async def test_nobody_asks_the_provider_while_the_database_cannot_say_who_may(
    home: SignedIn, service: TokenService
) -> None:
    keeper = home.keeper()
    with locked(home), pytest.raises(SecretTrouble, match="account main: its sign-in could not be renewed"):
        await token(keeper, home)
    assert service.calls == 0
    assert await token(keeper, home) == access(1)


async def test_a_process_that_does_not_end_its_refresh_is_not_waited_for_for_ever(
    home: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    slow, keeper = home.keeper(), home.keeper()
    stored, mine = await slow._deposit.lease(home.main, lambda tokens: False)
    assert (stored.version, mine) == (1, True)
    with pytest.raises(SecretTrouble, match="another process renews its sign-in"):
        await token(keeper, home)
