"""Sign-ins are read before anybody asks, and renewed before they end, without anybody waiting."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from codemie_core.oauth import refresh as module
from codemie_core.oauth.token_store import Stored
from codemie_core.store.accounts import remove_account
from support.keeping import until
from support.signed_in import Clock, Make, SignedIn, tokens_of
from support.token_service import TokenService, access


async def test_tokens_are_read_before_anybody_asks(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    home.tell(keeper)
    await until(lambda: keeper.at_hand(home.main) is not None)
    home.replace(tokens_of(7, 3000, now=clock()))
    home.tell(keeper)
    await until(lambda: keeper.at_hand(home.main) is not None)
    assert (await keeper.access_token(home.main)).get_secret_value() == access(7)
    home.stored.write(lambda connection: remove_account(connection, home.main.id, "a test"))
    home.tell(keeper)
    assert keeper.at_hand(home.main) is None
    assert service.calls == 0


async def test_reading_ahead_renews_nothing(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    home.tell(keeper)
    await until(lambda: keeper._reading is not None and keeper._reading.done())
    assert keeper.at_hand(home.main) is None
    assert service.calls == 0


async def test_in_the_background_a_token_is_renewed_before_its_end(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=module.AHEAD)
    keeper = home.keeper(clock=clock, chance=lambda: 0.9999)
    home.tell(keeper)
    await until(lambda: service.calls == 1)
    await until(lambda: home.tokens.access.get_secret_value() == access(1))


async def test_a_token_that_is_said_to_end_at_once_is_not_renewed_for_ever(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    service.lifetime = 0
    home = signed_in()
    keeper = home.keeper(clock=clock)
    home.tell(keeper)
    await keeper.access_token(home.main)
    await asyncio.sleep(0.3)
    assert service.calls == 1
    assert keeper.at_hand(home.main) is not None


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
async def test_not_all_are_renewed_at_the_same_time(
    chance: float, signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock, chance=lambda: chance)
    now = asyncio.get_running_loop().time
    before = now()
    (await keeper.access_token(home.main)).get_secret_value()
    (timer,) = keeper._timers.values()
    after = 3000 - module.AHEAD * (0.5 + 0.5 * chance)
    assert before + after <= timer.when() <= now() + after


@pytest.mark.parametrize("state", [{"paused": "holiday"}, {"needs_login": True}, None])
async def test_who_is_out_is_not_renewed_in_the_background(
    state: dict[str, Any] | None, codemie_home: Path, service: TokenService
) -> None:
    home = SignedIn(codemie_home, tokens_of(0, left=3000))
    service.configure(home.places)
    if state is None:
        home.stored.write(lambda connection: remove_account(connection, home.main.id, "a test"))
    else:
        home.stored.change("main", **state)
    keeper = home.keeper()
    keeper._held[home.main.id] = Stored(tokens_of(0, left=300), 1)
    keeper._accounts = {account.id: account for account in home.stored.accounts()}
    keeper._in_background(home.main.id)
    assert keeper._flights == {}
    await home.end()


async def test_after_a_failure_in_the_background_it_is_tried_again(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=500)
    keeper = home.keeper(clock=clock)
    home.tell(keeper)
    (await keeper.access_token(home.main)).get_secret_value()
    service.failing.append((500, b"", {}))
    now = asyncio.get_running_loop().time
    before = now()
    keeper._in_background(home.main.id)
    await until(lambda: service.calls == 1 and not keeper._flights)
    (timer,) = keeper._timers.values()
    assert before + module.BACK_OFF <= timer.when() <= now() + module.BACK_OFF
    assert keeper.at_hand(home.main) is not None
