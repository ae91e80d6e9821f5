from collections.abc import Mapping

import pytest

from codemie_core import loading
from codemie_core.addon import Addon, AddonSettings
from codemie_core.admin.plugins import plugin, plugin_health, plugins, plugins_status
from codemie_core.admin.problems import NotFound
from support.core_room import Listener
from support.planes import plane_of

SECRET = "sk-ant-api03-" + "planted0" * 8


class Wavering(Addon, priority=50, name="wavering", requires=("listener",)):
    """It wavers."""

    class Settings(AddonSettings):
        """One of them."""

        limit: int = 3

    def __init__(self, raises: bool = False) -> None:
        self._raises = raises

    def requestheaders(self, flow: object) -> None:
        raise RuntimeError(f"with {SECRET}")

    def health(self) -> Mapping[str, object]:
        if self._raises:
            raise RuntimeError("health itself")
        return {"turns": 3}


async def test_each_addon_is_told_in_order_with_its_true_state() -> None:
    listener, wavering = Listener(), Wavering()
    async with plane_of(listener, wavering) as room:
        await room.room.fire("requestheaders", object())
        told = (await plugins(room.plane)).plugins
        assert [one.name for one in told] == ["listener", "wavering", "admin_server"]
        assert [one.status for one in told] == ["active", "degraded", "active"]
        assert (told[1].mishaps, told[1].details, told[1].settings) == ({"requestheaders": 1}, {"turns": 3}, 1)
        assert told[1].error is not None
        assert "planted" not in told[1].error
        room.room.options.update(codemie_disabled=["wavering"])
        assert (await plugin(room.plane, "wavering")).status == "disabled"
        wavering.status.failed = True
        assert (await plugin(room.plane, "wavering")).status == "failed"


async def test_an_addon_whose_own_word_fails_is_noted_and_told_all_the_same() -> None:
    async with plane_of(Listener(), Wavering(raises=True)) as room:
        assert (await plugin(room.plane, "wavering")).details == {}
        assert (await plugin(room.plane, "wavering")).mishaps["health"] >= 1


async def test_what_could_not_be_loaded_is_failed_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "left_out", [loading.LeftOut("inspection", f"ImportError: {SECRET}")])
    async with plane_of() as room:
        told = await plugin(room.plane, "inspection")
        health = await plugin_health(room.plane, "inspection")
        assert (await plugins(room.plane)).total == 3
    assert (told.status, told.version, told.switchable) == ("failed", None, False)
    assert "planted" not in told.model_dump_json() + health.model_dump_json()
    assert (health.status, health.adapter_loaded, health.details.health_check.status) == ("unhealthy", False, "fail")


@pytest.mark.parametrize("name, verdict, check", [("listener", "healthy", "pass"), ("wavering", "unknown", "warn")])
async def test_health_of_one(name: str, verdict: str, check: str) -> None:
    async with plane_of(Listener(), Wavering(), codemie_disabled=["wavering"]) as room:
        told = await plugin_health(room.plane, name)
    assert (told.status, told.details.health_check.status) == (verdict, check)
    assert told.details.active == (name == "listener")


async def test_an_unknown_name_is_not_found_with_the_nearest_one() -> None:
    async with plane_of() as room:
        with pytest.raises(NotFound, match="did you mean listener"):
            await plugin_health(room.plane, "listner")
        with pytest.raises(NotFound, match="GET /plugins shows all"):
            await plugin(room.plane, "x" * 100_000)


async def test_how_they_fit_together() -> None:
    async with plane_of(Listener(), Wavering()) as room:
        told = await plugins_status(room.plane)
    assert told.initialization_order == ["listener", "wavering", "admin_server"]
    assert told.services == {"listener": "listener"}
    assert [(one.name, one.requires, one.initialized) for one in told.plugins][1] == ("wavering", ["listener"], True)
