"""Accounts as they are shown; the fields themselves: test_account_info.py."""

import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from account_rotation import AccountRotation
from codemie_core.accounts.account import Kind
from codemie_core.accounts.limits import read_limits
from codemie_core.accounts.state import Usage
from codemie_core.accounts.verdicts import Act, Scope, Verdict
from codemie_core.admin.accounts import get_account, list_accounts
from codemie_core.admin.problems import NotFound, Unavailable
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.pool import save_changes
from support.planes import Planes, now, plane_of
from support.stored import StoredHome, new_account
from support.turn_rows import new_turn

URL = "https://api.test"


@pytest.fixture
def home(places: Places) -> StoredHome:
    stored = StoredHome(places.home)
    stored.key("spare", URL, "planted-spare", provider="anthropic-compatible", priority=1)
    stored.key("main", URL, "planted-main", provider="anthropic-compatible")
    return stored


@pytest.fixture
async def room(home: StoredHome) -> AsyncIterator[Planes]:
    async with plane_of(AccountRotation(), clock=now) as planes:
        yield planes


async def test_without_a_database_there_are_none_and_none_is_made(places: Places) -> None:
    async with plane_of(AccountRotation(), clock=now) as planes:
        assert await list_accounts(planes.plane) == []
        with pytest.raises(NotFound, match="codemie-proxy accounts add"):
            await get_account(planes.plane, "main")
        assert not (places.proxy / "proxy.db").exists()


async def test_those_that_go_first_stand_at_the_top_and_are_found_by_name_or_id(room: Planes) -> None:
    main, spare = await list_accounts(room.plane)
    assert (main.name, spare.name) == ("main", "spare")
    assert await get_account(room.plane, main.id) == await get_account(room.plane, "main") == main
    with pytest.raises(NotFound, match="did you mean 'main'"):
        await get_account(room.plane, "mian")


async def test_what_the_pool_has_just_learnt_is_shown_before_it_is_saved(room: Planes) -> None:
    pool = room.plane.pool
    assert pool is not None
    main = next(account for account in pool.accounts if account.name == "main")
    pool.failed(main.id, "", Verdict(Act.NEXT, Scope.ACCOUNT, until=time.time() + 600, verified=True, reason="full"))
    found = await get_account(room.plane, "main")
    assert (found.state, found.rate_limit_status, found.rate_limited_reason) == ("limited", "limited (10m)", "full")
    assert found.rate_limited_at is not None
    limits = read_limits([(b"anthropic-ratelimit-unified-5h-utilization", b"0.42")], time.time())
    pool.succeeded(main.id, "", limits)
    assert (await get_account(room.plane, "main")).usage_utilization == 0.42


async def test_without_the_pool_it_is_what_a_proxy_started_now_would_say(home: StoredHome) -> None:
    main = home.accounts()[0]
    home.write(lambda connection: save_changes(connection, [Usage(main.id, "5h", 0.5, None, time.time())]))
    home.change("main", paused="holidays")
    async with plane_of(clock=now) as planes:
        found = await get_account(planes.plane, "main")
    assert (found.state, found.pause_reason, found.usage_window) == ("paused", "holidays", "5h")


async def test_a_change_that_the_pool_has_not_heard_of_yet_is_shown(room: Planes, home: StoredHome) -> None:
    home.change("main", paused="holidays")
    assert (await get_account(room.plane, "main")).state == "paused"


async def test_while_the_database_is_away_the_pool_is_shown(room: Planes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(room.plane, "read", away)
    assert [found.name for found in await list_accounts(room.plane)] == ["main", "spare"]
    assert (await get_account(room.plane, "spare")).priority == 1
    with pytest.raises(NotFound, match="did you mean 'main'"):
        await get_account(room.plane, "mian")


async def test_turns_are_counted_under_the_accounts_name(room: Planes, home: StoredHome) -> None:
    ms = round(time.time() * 1000)
    rows = [new_turn(number, account="main", started_ms=ms - number * 3 * 3_600_000) for number in range(3)]
    home.write(lambda connection: connection.execute(insert(tables.requests), rows))
    found = await get_account(room.plane, "main")
    assert (found.total_requests, found.request_count, found.session_info) == (3, 2, "Active: 2 reqs")
    assert found.last_used is not None


async def test_of_a_sign_in_its_end_is_known_and_never_a_token(room: Planes, home: StoredHome) -> None:
    tokens = Tokens(SecretStr("planted-a"), SecretStr("planted-r"), time.time() - 1, 0.0, "", "lab")
    home.add(new_account("me", URL, "anthropic-compatible", kind=Kind.OAUTH), tokens.dump())
    found = await get_account(room.plane, "me")
    assert (found.kind, found.token_status, found.has_refresh_token) == ("oauth", "expired", True)
    assert found.token_expires_at is not None
    assert "planted" not in found.model_dump_json()
