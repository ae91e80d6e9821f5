import pytest

from account_rotation import AccountRotation
from codemie_core.addon import Addon
from codemie_core.admin.health import health, live, ready
from codemie_core.admin.plane import Plane
from codemie_core.places import Places
from support.core_room import Listener
from support.planes import now, plane_of
from support.pools import verified
from support.stored import StoredHome

URL = "https://api.test"


class Guarding(Addon, priority=3, name="guarding", fail="closed"):
    """Requests do not pass without it."""


@pytest.fixture
def home(codemie_home: object) -> StoredHome:
    return StoredHome(Places.from_env({"CODEMIE_HOME": str(codemie_home)}).home)


def limit(plane: Plane, name: str, seconds: float) -> None:
    pool = plane.pool
    assert pool is not None
    [account] = [one for one in pool.accounts if one.name == name]
    pool.failed(account.id, "", verified(now() + seconds))


async def test_that_it_lives_is_all_that_everybody_hears() -> None:
    assert (await live()).model_dump() == {"status": "ok"}


async def test_without_accounts_it_is_ready() -> None:
    async with plane_of() as room:
        told = await ready(room.plane)
    assert (told.status, told.reasons, told.pool.configured) == ("ok", [], 0)


async def test_the_pool_is_counted(home: StoredHome) -> None:
    for name in ("one", "two", "three"):
        home.key(name, URL, "planted", provider="anthropic-compatible")
    home.change("two", "paused", paused="at night")
    async with plane_of(AccountRotation(), clock=now) as room:
        limit(room.plane, "three", 600)
        told = await ready(room.plane)
    pool = told.pool
    assert (pool.configured, pool.routable, pool.paused, pool.rate_limited) == (3, 1, 1, 1)
    assert pool.next_available_at is not None
    assert told.status == "ok"


async def test_when_no_account_can_serve_it_is_unhealthy_and_says_until_when(home: StoredHome) -> None:
    home.key("one", URL, "planted", provider="anthropic-compatible")
    async with plane_of(AccountRotation(), clock=now) as room:
        limit(room.plane, "one", 600)
        told = await ready(room.plane)
    assert told.status == "unhealthy"
    assert told.pool.next_available_at is not None
    assert told.pool.next_available_at in told.reasons[0]
    assert "codemie-proxy accounts list" in told.reasons[0]


async def test_an_addon_in_trouble_degrades_and_one_that_guards_stops() -> None:
    listener, guarding = Listener(), Guarding()
    async with plane_of(guarding, listener) as room:
        listener.status.mishaps["request"] += 1
        listener.status.error = "listener: RuntimeError"
        degraded = await ready(room.plane)
        guarding.status.failed = True
        broken = await ready(room.plane)
    assert (degraded.status, degraded.reasons) == ("degraded", ["listener is degraded: listener: RuntimeError"])
    assert broken.status == "unhealthy"
    assert "guarding has failed" in broken.reasons[0]


async def test_details_are_those_of_the_proxys_own_health() -> None:
    async with plane_of(AccountRotation()) as room:
        told = await health(room.plane)
    assert (told.accounts, told.strategy, told.addons["account_rotation"]) == (0, "session", "active")
    assert told.timestamp == "2026-11-04T15:30:00.000Z"
    assert set(told.counters) == {"exchanges", "attempts"}
