"""Sign-ins are kept alive: one refresh for all who ask, nothing lost, nobody asked more than needed."""

import asyncio
import logging

import pytest

from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.oauth import refresh as module
from codemie_core.oauth.providers import providers_file
from codemie_core.oauth.refresh import TokenKeeper
from codemie_core.oauth.tokens import Tokens
from codemie_core.vault import pending_folder
from support.keeping import until, warnings
from support.signed_in import Clock, Make, SignedIn, tokens_of
from support.token_service import TokenService, access


async def token(keeper: TokenKeeper, home: SignedIn, force: bool = False) -> str:
    return (await keeper.access_token(home.main, force)).get_secret_value()


async def asked(service: TokenService) -> None:
    """Until the service has been asked once more."""
    assert await asyncio.to_thread(service.asked.acquire, timeout=60)


async def test_a_good_token_is_given_out_without_any_call(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    assert keeper.at_hand(home.main) is None
    assert await token(keeper, home) == access(0)
    at_hand = keeper.at_hand(home.main)
    assert at_hand is not None
    assert at_hand.get_secret_value() == access(0)
    assert service.calls == 0


async def test_a_token_near_its_end_is_renewed_before_it_is_used(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    await token(keeper, home)
    clock.now += 3000 - module.LEAST - 1
    assert keeper.at_hand(home.main) is not None
    clock.now += 1
    assert keeper.at_hand(home.main) is None
    assert await token(keeper, home) == access(1)
    assert home.tokens.access.get_secret_value() == access(1)
    assert home.tokens.obtained_at == clock.now
    assert service.bodies == [
        {"grant_type": "refresh_token", "refresh_token": "planted-refresh-0", "client_id": "a-client"}
    ]


async def test_fifty_who_ask_at_once_make_one_call(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    callers = [asyncio.create_task(token(keeper, home)) for _ in range(50)]  # noqa: TID251 - awaited below
    await asked(service)
    service.open.set()
    assert set(await asyncio.gather(*callers)) == {access(1)}
    assert service.calls == 1


async def test_one_who_leaves_does_not_end_the_refresh_for_the_others(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    first, second = (asyncio.create_task(token(keeper, home)) for _ in range(2))  # noqa: TID251 - awaited below
    await asked(service)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    service.open.set()
    assert await second == access(1)
    assert service.calls == 1


async def test_a_refresh_that_everybody_has_left_is_stored_all_the_same(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    only = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asked(service)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    service.open.set()
    await until(lambda: keeper.at_hand(home.main) is not None)
    assert home.tokens.access.get_secret_value() == access(1)


async def test_a_refused_token_is_renewed_once_for_all(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    assert await token(keeper, home) == access(0)
    found = await asyncio.gather(*(token(keeper, home, force=True) for _ in range(50)))
    assert set(found) == {access(1)}
    assert service.calls == 1


async def test_who_needs_another_token_does_not_take_the_refused_one_from_a_look_under_way(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    await token(keeper, home)
    keeper._fly(home.main, None)
    assert await token(keeper, home, force=True) == access(1)


async def test_a_new_token_that_is_refused_is_not_renewed_again_and_again(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    await token(keeper, home)
    for _ in range(3):
        assert await token(keeper, home, force=True) == access(1)
    assert service.calls == 1
    clock.now += module.TOO_YOUNG
    assert await token(keeper, home, force=True) == access(2)


async def test_what_another_process_has_stored_is_taken(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in(left=3000)
    one, other = home.keeper(clock=clock), home.keeper(clock=clock)
    assert await token(one, home) == await token(other, home) == access(0)
    assert await token(one, home, force=True) == access(1)
    assert await token(other, home, force=True) == access(1)
    assert service.calls == 1


async def test_of_several_processes_one_renews_and_the_others_wait(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keepers = [home.keeper(clock=clock) for _ in range(4)]
    service.open.clear()
    callers = [asyncio.create_task(token(one, home)) for one in keepers for _ in range(5)]  # noqa: TID251 - awaited below
    await asked(service)
    await asyncio.sleep(0.5)
    service.open.set()
    assert set(await asyncio.gather(*callers)) == {access(1)}
    assert service.calls == 1
    assert home.version == 2


async def test_a_lease_that_a_dead_process_has_left_runs_out(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    dead, keeper = home.keeper(clock=clock), home.keeper(clock=clock)
    mine, _ = await dead._deposit._call(lambda connection: dead._deposit._store.leased(connection, home.main))
    assert mine
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asyncio.sleep(0.4)
    assert service.calls == 0
    clock.now += 31
    assert await caller == access(1)


async def test_another_version_in_the_database_is_read_anew(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=3000)
    keeper = home.keeper(clock=clock)
    await token(keeper, home)
    home.tell(keeper)
    assert keeper.at_hand(home.main) is not None
    home.replace(tokens_of(7, 3000, now=clock()))
    home.tell(keeper)
    assert keeper.at_hand(home.main) is None
    assert await token(keeper, home) == access(7)
    assert service.calls == 0


async def test_a_provider_that_fails_is_left_alone_for_longer_and_longer(
    signed_in: Make, service: TokenService, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    said = r"^account main: its sign-in could not be renewed: 127\.0\.0\.1 answered 500$"
    for calls, pause in enumerate((60, 120, 240, 480, 600, 600), 1):
        service.failing.append((500, b"planted", {}))
        with pytest.raises(SecretTrouble, match=said):
            await token(keeper, home)
        clock.now += pause - 1
        with pytest.raises(SecretTrouble, match=said):
            await token(keeper, home)
        assert service.calls == calls
        clock.now += 1
    assert not home.account.needs_login
    assert len(warnings(caplog)) == 1
    assert await token(keeper, home) == access(1)
    assert warnings(caplog)[-1] == "account main: its sign-in is good again"


@pytest.mark.parametrize(
    ("status", "body", "headers", "pause"),
    [
        (429, {"error": {"type": "rate_limit_error"}}, {"retry-after": "300"}, 300),
        (503, b"", {"retry-after": "7200"}, 600),
        (400, {"error": "invalid_request", "error_description": "invalid_grant"}, {}, 60),
        (401, {"error": "invalid_client"}, {}, 60),
    ],
)
async def test_only_exact_codes_end_a_sign_in(
    status: int,
    body: object,
    headers: dict[str, str],
    pause: float,
    signed_in: Make,
    service: TokenService,
    clock: Clock,
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.failing.append((status, body, headers))
    with pytest.raises(SecretTrouble):
        await token(keeper, home)
    clock.now += pause - 1
    with pytest.raises(SecretTrouble):
        await token(keeper, home)
    assert service.calls == 1
    assert not home.account.needs_login
    clock.now += 1
    assert await token(keeper, home) == access(1)


async def test_the_old_token_serves_while_it_is_good_and_no_new_one_can_be_had(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in(left=30)
    keeper = home.keeper(clock=clock)
    service.failing.append((500, b"", {}))
    assert await token(keeper, home) == access(0)
    assert await token(keeper, home) == access(0)
    assert service.calls == 1
    with pytest.raises(SecretTrouble):
        await token(keeper, home, force=True)
    clock.now += 31
    with pytest.raises(SecretTrouble):
        await token(keeper, home)


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_refresh_token", "refresh_token_reused"])
async def test_a_sign_in_that_is_over_is_flagged_once_with_the_way_out(
    code: str, signed_in: Make, service: TokenService, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.failing.append((400, {"error": code}, {}))
    for _ in range(3):
        with pytest.raises(SecretTrouble, match="codemie-proxy auth login lab --name main"):
            await token(keeper, home)
    assert service.calls == 1
    assert home.account.needs_login
    (event,) = (event for event in home.stored.events("main") if event.event == "sign in again")
    assert (event.reason, event.who) == (code, "a test")
    assert len(warnings(caplog)) == 1
    assert "planted" not in caplog.text


async def test_a_sign_in_is_not_flagged_when_there_is_a_new_one_meanwhile(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.failing.append((400, {"error": "invalid_grant"}, {}))
    service.open.clear()
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asked(service)
    home.replace(tokens_of(5, 3000, now=clock()))
    service.open.set()
    assert await caller == access(5)
    assert not home.account.needs_login


async def test_a_new_sign_in_during_a_refresh_wins(signed_in: Make, service: TokenService, clock: Clock) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asked(service)
    home.replace(tokens_of(5, 3000, now=clock()))
    service.open.set()
    assert await caller == access(5)
    assert home.tokens.access.get_secret_value() == access(5)
    assert not list(pending_folder(home.places).iterdir())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lab: {provider: openai, token_url: 'https://lab.test'}", "CODEMIE_OAUTH_LAB_CLIENT_ID"),
        ("{}", "has no 'lab' any more"),
        ("lab: [", "providers.yaml"),
        ("lab: {provider: openai, client_id: x}", "lab has no token_url"),
    ],
)
async def test_a_provider_that_cannot_be_used_is_trouble_of_this_account_alone(
    text: str, problem: str, signed_in: Make, clock: Clock
) -> None:
    home = signed_in()
    home.places.write_private(providers_file(home.places), text.encode())
    with pytest.raises(SecretTrouble, match=problem):
        await token(home.keeper(clock=clock), home)


async def test_a_vault_key_that_is_rotated_meanwhile_is_no_trouble(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asked(service)
    home.rotate()
    service.open.set()
    assert await caller == access(1)
    assert home.tokens.access.get_secret_value() == access(1)


async def test_at_the_end_a_refresh_under_way_is_waited_for(
    signed_in: Make, service: TokenService, clock: Clock
) -> None:
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.open.clear()
    caller = asyncio.create_task(token(keeper, home))  # noqa: TID251 - awaited below
    await asked(service)
    asyncio.get_running_loop().call_later(0.2, service.open.set)
    await keeper.end()
    assert home.tokens.access.get_secret_value() == access(1)
    assert await caller == access(1)


async def test_nothing_secret_is_said(
    signed_in: Make, service: TokenService, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    home = signed_in()
    keeper = home.keeper(clock=clock)
    service.failing.append((400, {"error": "invalid_scope", "error_description": "planted-refresh-0"}, {}))
    with pytest.raises(SecretTrouble) as trouble:
        await token(keeper, home)
    clock.now += 60
    await token(keeper, home)
    assert "planted" not in caplog.text + str(trouble.value) + repr(keeper) + repr(home.tokens)
    assert isinstance(home.tokens, Tokens)
