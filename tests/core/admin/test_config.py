import pytest

from account_rotation import AccountRotation
from codemie_core.admin.config import (
    NewRetention,
    config,
    keeping_of,
    retention,
    set_retention,
    set_strategy,
    strategies,
    strategy,
)
from codemie_core.admin.problems import BadQuestion, Conflict, Unavailable
from codemie_core.places import Places
from codemie_core.store.stored_settings import stored_settings
from support.planes import now, plane_of
from support.stored import StoredHome
from usage_metering import UsageMetering

OPTION = "codemie_account_rotation_strategy"


async def test_a_strategy_that_is_chosen_counts_at_once_and_is_told(places: Places) -> None:
    StoredHome(places.home).key("main", "https://api.test", "planted", provider="anthropic-compatible")
    async with plane_of(AccountRotation(), clock=now) as room:
        assert (await strategy(room.plane)).model_dump() == {
            "strategy": "session",
            "source": "settings",
            "pinnedBy": None,
        }
        chosen = await set_strategy(room.plane, "least-used", "dashboard")
        assert (chosen.strategy, chosen.source) == ("least-used", "store")
        assert room.plane.pool is not None
        assert room.plane.pool.strategy == "least-used"
        assert [one.name for one in await strategies(room.plane) if one.active] == ["least-used"]
        with pytest.raises(BadQuestion, match="did you mean 'least-used'"):
            await set_strategy(room.plane, "least-usd", "dashboard")
    [event] = StoredHome(places.home).events()[1:]
    assert (event.event, event.reason, event.who) == ("strategy", "least-used", "dashboard")


async def test_a_pinned_strategy_names_its_pin_and_stays(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    StoredHome(places.home).key("main", "https://api.test", "planted", provider="anthropic-compatible")
    monkeypatch.setenv(OPTION.upper(), "global-session")
    async with plane_of(AccountRotation(), clock=now) as room:
        with pytest.raises(Conflict, match=f"environment: {OPTION.upper()}") as refused:
            await set_strategy(room.plane, "session", "dashboard")
        assert refused.value.more == {"pinnedBy": f"environment: {OPTION.upper()}"}
        assert (await strategy(room.plane)).strategy == "global-session"
    assert len(StoredHome(places.home).events()) == 1


async def test_retention_counts_at_once_and_after_a_restart(places: Places) -> None:
    async with plane_of(UsageMetering(), clock=now) as room:
        assert (await retention(room.plane)).model_dump() == {"payloadDays": 1.0, "requestDays": 90.0}
        found = await set_retention(room.plane, NewRetention(request_days=2), "dashboard")
        assert (found.request_days, found.payload_days) == (2.0, 1.0)
        assert keeping_of(room.plane).seconds == 2 * 86_400
        forever = await set_retention(room.plane, NewRetention(request_days=0, payload_days=0.5), "dashboard")
        assert (forever.request_days, forever.payload_days) == (0.0, 0.5)
        with pytest.raises(BadQuestion, match="payloadDays, requestDays or both"):
            await set_retention(room.plane, NewRetention(), "dashboard")
    assert stored_settings(places, {}).keys() == {"usage_metering.keep", "usage_metering.payload_keep"}


async def test_where_no_history_is_kept_its_retention_cannot_be_set(places: Places) -> None:
    async with plane_of(clock=now) as room:
        with pytest.raises(Unavailable, match="usage_metering is not loaded"):
            await set_retention(room.plane, NewRetention(request_days=2), "dashboard")


async def test_the_whole_has_ccflares_names(places: Places) -> None:
    async with plane_of(AccountRotation(), UsageMetering(), clock=now) as room:
        found = (await config(room.plane)).model_dump(mode="json")
    assert (found["lb_strategy"], found["sessionDurationMs"], found["home"]) == (
        "session",
        18_000_000,
        str(places.home),
    )
    assert found["strategies"] == ["session", "global-session", "least-used", "drain-soonest"]
