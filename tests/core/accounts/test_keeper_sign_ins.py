"""The pool's keeper and accounts that are signed in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind
from codemie_core.accounts.words import NO_SECRET
from codemie_core.oauth import pending
from support.keeping import URL, Home, quickly, until
from support.signed_in import tokens_of
from support.stored import new_account
from support.token_service import TokenService, access


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


@pytest.fixture
def home(codemie_home: Path, service: TokenService, monkeypatch: pytest.MonkeyPatch) -> Home:
    quickly(monkeypatch)
    made = Home(codemie_home)
    service.configure(made.stored.places)
    return made


def sign_in(home: Home, generation: int = 0, left: float = 3000.0) -> str:
    main = new_account("main", URL, kind=Kind.OAUTH)
    return home.stored.add(main, tokens_of(generation, left).dump()).id


async def test_a_token_is_at_hand_before_the_first_request(home: Home) -> None:
    sign_in(home)
    home.begin()
    await until(lambda: home.keeper.secret_at_hand(home.account("main")) == SecretStr(access(0)))
    assert await home.secret("main") == access(0)
    await home.keeper.end()


async def test_a_refused_token_is_renewed(home: Home, service: TokenService) -> None:
    sign_in(home)
    home.begin()
    await home.secret("main")
    renewed = await home.keeper.secret(home.account("main"), refresh=True)
    assert renewed.get_secret_value() == access(1)
    assert service.calls == 1
    await home.keeper.end()


async def test_the_first_sign_in_of_all_is_kept_alive_in_a_proxy_that_runs(home: Home) -> None:
    home.stored.key("spare", URL, "planted-spare")
    home.begin()
    assert home.keeper.tokens is None
    sign_in(home, left=-1)
    await until(lambda: "main" in home.names)
    assert await home.secret("main") == access(1)
    await home.keeper.end()


async def test_a_new_sign_in_by_command_counts_within_a_second(home: Home) -> None:
    sign_in(home)
    home.begin()
    await home.secret("main")
    home.replace_secret(home.account("main"), tokens_of(7, 3000).dump())
    await until(lambda: home.keeper.secret_at_hand(home.account("main")) == SecretStr(access(7)))
    await home.keeper.end()


async def test_an_account_serves_again_as_soon_as_its_secret_can_be_had(home: Home, service: TokenService) -> None:
    sign_in(home, left=-1)
    home.stored.key("spare", URL, "planted-spare")
    home.begin()
    main, spare = home.account("main"), home.account("spare")
    for account in (main, spare):
        home.pool.unusable(account.id, NO_SECRET)
    assert await home.secret("main") == access(1)
    await until(lambda: home.pool.status(main.id).state == "ready")
    assert home.pool.status(spare.id).state == "guessed"
    home.replace_secret(spare, "planted-anew")
    await until(lambda: home.pool.status(spare.id).state == "ready")
    assert home.rests() == {}
    await home.keeper.end()


async def test_its_own_refresh_is_no_news_to_it(home: Home, service: TokenService) -> None:
    sign_in(home, left=-1)
    home.begin()
    assert await home.secret("main") == access(1)
    changes = home.changes
    home.stored.change("main", priority=3)
    await until(lambda: home.account("main").priority == 3 and home.changes > changes)
    assert home.keeper.secret_at_hand(home.account("main")) is not None
    await home.keeper.end()


async def test_what_a_killed_proxy_left_is_stored_at_the_next_start(home: Home) -> None:
    account_id = sign_in(home)
    stored = home.stored
    pending.keep(stored.places, stored.read(stored.vault), account_id, tokens_of(1, 3600))
    home.begin()
    await until(lambda: not list(pending.waiting(stored.places)))
    assert access(1) in stored.secret("main")
    await home.keeper.end()


async def test_a_proxy_without_sign_ins_keeps_none(home: Home) -> None:
    home.stored.key("spare", URL, "planted-spare")
    home.begin()
    await home.secret("spare")
    assert home.keeper.tokens is None
    await home.keeper.end()
