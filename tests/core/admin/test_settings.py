"""Settings, changed in a running mitmproxy with a real database."""

from __future__ import annotations

import os
from typing import Any, Literal

import pytest
from pydantic import Field
from sqlalchemy import Connection

from account_rotation import AccountRotation
from codemie_core.addon import Addon, AddonSettings
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion, Conflict, NotFound, Unavailable
from codemie_core.admin.setting_views import MASK, SettingView
from codemie_core.admin.settings import change_settings, plugin_settings, switch_plugin
from codemie_core.durations import Duration
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.audit import events
from codemie_core.store.settings import load_settings
from codemie_core.store.stored_settings import stored_settings
from support.core_room import Fixed, Listener
from support.planes import plane_of

WHO = "a test"
SECRET = "sk-ant-api03-" + "planted0" * 8


class Sample(Addon, priority=50, name="sample"):
    class Settings(AddonSettings):
        """Of every kind."""

        number: int = Field(3, ge=1, le=10, description="A number.")
        text: str = ""
        switch: bool = False
        words: tuple[str, ...] = ("a",)
        choice: Literal["slow", "fast"] = "fast"
        wait: Duration = 0.25
        maybe: str | None = None

    def settled(self) -> None:
        """Refuses what only an addon can know."""
        if self.settings.text == "refused":
            raise SettingsError("codemie_sample_text: not this one")
        if self.settings.words == ("twice", "twice"):
            raise SettingsError("codemie_sample_words: not twice")


class Needing(Addon, priority=51, name="needing", requires=("sample",)):
    """Cannot do without it."""


async def shown(plane: Plane, key: str, name: str = "sample") -> SettingView:
    [found] = [one for one in (await plugin_settings(plane, name)).settings if one.key == key]
    return found


def kept() -> dict[str, Any]:
    return stored_settings(Places.from_env(os.environ), os.environ)


async def test_every_setting_is_told_with_its_kind_and_schema() -> None:
    async with plane_of(Sample()) as room:
        told = await plugin_settings(room.plane, "sample")
    kinds = {one.key: (one.type, one.value, one.optional) for one in told.settings}
    assert kinds == {
        "number": ("number", 3, False),
        "text": ("text", "", False),
        "switch": ("switch", False, False),
        "words": ("list", ["a"], False),
        "choice": ("choice", "fast", False),
        "wait": ("text", "250ms", False),
        "maybe": ("text", None, True),
    }
    assert told.settings_schema["properties"]["number"]["maximum"] == 10
    assert {one.source for one in told.settings} == {"default"}


GOOD: list[tuple[str, Any]] = [
    *(("number", 7), ("text", "x"), ("switch", True), ("words", ["b", "c"]), ("words", []), ("choice", "slow")),
    *(("wait", "5m"), ("maybe", "y")),
]


@pytest.mark.parametrize("key, value", GOOD)
async def test_a_change_counts_at_once_and_at_the_next_start(key: str, value: Any) -> None:
    sample = Sample()
    async with plane_of(sample) as room:
        await change_settings(room.plane, "sample", {key: value}, WHO)
        told = await shown(room.plane, key)
        now = getattr(sample.settings, key)
    assert (told.value, told.source, told.stored) == (value, "changed by the admin API", True)
    assert kept() == {f"sample.{key}": value}
    again = Sample()
    async with plane_of(again) as room:
        assert getattr(again.settings, key) == now
        assert (await shown(room.plane, key)).source == "changed by the admin API"


BAD: list[dict[str, Any]] = [
    *({"number": 11}, {"number": "7"}, {"number": True}, {"number": 1.5}, {"number": 10**30}, {"number": [1]}),
    *({"text": 1}, {"text": "refused"}, {"text": "x" * 10_001}, {"text": "a\0b"}, {"text": {"a": 1}}),
    *({"switch": "yes"}, {"switch": 1}, {"words": "a"}, {"words": [1]}, {"words": ["a\0"]}, {"words": ["x"] * 1001}),
    *({"choice": "other"}, {"wait": "soon"}, {"nothing": 1}, {"number": 7, "text": "refused"}),
    *({"number": 7, "words": ["twice", "twice"]}, {"text": MASK}, {"text": "Bearer [redacted]"}),
]


@pytest.mark.parametrize("changes", BAD, ids=str)
async def test_what_is_refused_changes_nothing(changes: dict[str, Any]) -> None:
    sample = Sample()
    async with plane_of(sample) as room:
        with pytest.raises(BadQuestion):
            await change_settings(room.plane, "sample", changes, WHO)
        assert sample.settings == Sample.Settings()
        assert room.room.options.codemie_sample_number == 3
        assert await room.plane.read(load_settings) == {}
    assert sample.status.mishaps.total() == 0


async def test_none_gives_a_setting_back_to_what_decides_without_it() -> None:
    sample = Sample()
    async with plane_of(sample) as room:
        room.plane.core.layers.file["sample"] = {"number": 5}  # type: ignore[index] # a dict, read from YAML
        await change_settings(room.plane, "sample", {"number": 7, "text": "x"}, WHO)
        await change_settings(room.plane, "sample", {"number": None}, WHO)
        told = await shown(room.plane, "number")
        assert (sample.settings.number, sample.settings.text) == (5, "x")
    assert (told.value, told.stored) == (5, False)
    assert told.source.endswith("codemie.yaml")
    assert kept() == {"sample.text": "x"}


async def test_what_the_environment_says_is_not_changed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_SAMPLE_NUMBER", "9")
    async with plane_of(Sample()) as room:
        told = await shown(room.plane, "number")
        with pytest.raises(Conflict, match="CODEMIE_SAMPLE_NUMBER") as caught:
            await change_settings(room.plane, "sample", {"text": "x", "number": 7}, WHO)
        assert (await shown(room.plane, "text")).value == ""
    assert (told.value, told.pinned_by) == (9, "environment: CODEMIE_SAMPLE_NUMBER")
    assert caught.value.more == {"pinnedBy": "environment: CODEMIE_SAMPLE_NUMBER"}


async def test_what_a_start_was_given_is_not_changed_here() -> None:
    async with plane_of(Sample()) as room:
        room.plane.core.layers.given.add("codemie_sample_number")
        told = await shown(room.plane, "number")
        with pytest.raises(Conflict, match="--set codemie_sample_number"):
            await change_settings(room.plane, "sample", {"number": 7}, WHO)
        with pytest.raises(Conflict, match="CODEMIE_CONFIG"):
            await change_settings(room.plane, "codemie", {"config": "/x"}, WHO)
    assert (told.source, told.pinned_by) == ("--set codemie_sample_number",) * 2


async def test_what_cannot_be_stored_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample()
    async with plane_of(sample) as room:

        async def away(_: object) -> None:
            raise Unavailable("the database is away")

        monkeypatch.setattr(room.plane, "write", away)
        with pytest.raises(Unavailable):
            await change_settings(room.plane, "sample", {"number": 7}, WHO)
        assert sample.settings.number == 3
        assert room.room.options.codemie_sample_number == 3


async def test_settings_are_told_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with plane_of(Sample()) as room:

        async def away(_: object) -> None:
            raise Unavailable("the database is away")

        monkeypatch.setattr(room.plane, "read", away)
        assert (await shown(room.plane, "number")).value == 3


async def test_a_secret_in_a_setting_is_hidden() -> None:
    async with plane_of(Sample()) as room:
        room.room.options.update(codemie_sample_text=f"Bearer {SECRET}", codemie_sample_words=["x", SECRET])
        told = await plugin_settings(room.plane, "sample")
    hidden = {one.key for one in told.settings if one.masked}
    assert hidden == {"text", "words"}
    assert "planted" not in told.model_dump_json()
    assert {one.source for one in told.settings if one.masked} == {"changed while it runs"}


async def test_every_change_is_in_the_audit_trail_without_secrets() -> None:
    async with plane_of(Sample()) as room:
        await change_settings(room.plane, "sample", {"number": 7, "text": SECRET}, WHO)
        await change_settings(room.plane, "sample", {"number": None}, WHO)

        def trail(connection: Connection) -> list[tuple[str, str, str]]:
            return [(event.event, event.reason, event.who) for event in events(connection)]

        told = await room.plane.read(trail)
    assert ("setting", "sample.number: 7", WHO) in told
    assert told[0] == ("setting", "sample.number: given back", WHO)
    assert "planted" not in str(told)


async def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    async with plane_of(Sample()) as room:
        with pytest.raises(NotFound, match="did you mean sample"):
            await plugin_settings(room.plane, "sampel")
        with pytest.raises(BadQuestion, match="did you mean 'number'"):
            await change_settings(room.plane, "sample", {"numbre": 1}, WHO)
        with pytest.raises(BadQuestion, match="there are: number"):
            await change_settings(room.plane, "sample", {"x" * 100_000: 1}, WHO)


async def test_the_strategy_is_stored_for_all_proxies_and_not_set_for_this_one_alone() -> None:
    async with plane_of(AccountRotation()) as room:
        await change_settings(room.plane, "account_rotation", {"strategy": "least-used"}, WHO)
        told = await shown(room.plane, "strategy", "account_rotation")
        assert room.room.options.codemie_account_rotation_strategy == "session"
        assert await room.plane.read(load_settings) == {"account_rotation.strategy": "least-used"}
        with pytest.raises(BadQuestion, match="is no strategy"):
            await change_settings(room.plane, "account_rotation", {"strategy": "best"}, WHO)
    assert (told.value, told.stored) == ("least-used", True)


async def test_an_addon_is_switched_now_and_after_a_restart() -> None:
    async with plane_of(Sample(), Listener()) as room:
        await switch_plugin(room.plane, "sample", False, WHO)
        assert [addon.status.enabled for addon in room.plane.core.addons_in_order] == [False, True, True]
    again = Sample()
    async with plane_of(again, Listener()) as room:
        assert not again.status.enabled
        await switch_plugin(room.plane, "sample", True, WHO)
        assert again.status.enabled
    assert kept() == {"disabled": []}


async def test_switched_on_where_only_some_are_it_becomes_one_of_them() -> None:
    sample = Sample()
    async with plane_of(sample, Listener()) as room:
        await change_settings(room.plane, "codemie", {"enabled": ["listener", "admin_server"]}, WHO)
        assert not sample.status.enabled
        await switch_plugin(room.plane, "sample", True, WHO)
        assert sample.status.enabled
    assert kept()["enabled"] == ["listener", "admin_server", "sample"]


async def test_what_cannot_be_switched_says_why() -> None:
    async with plane_of(Sample(), Needing(), Fixed()) as room:
        with pytest.raises(Conflict, match="needing cannot do without sample"):
            await switch_plugin(room.plane, "sample", False, WHO)
        with pytest.raises(Conflict, match="cannot be switched while the proxy runs"):
            await switch_plugin(room.plane, "fixed", False, WHO)
        with pytest.raises(Conflict, match="CODEMIE_DISABLED=admin_server"):
            await switch_plugin(room.plane, "admin_server", False, WHO)
        for changes in ({"disabled": ["admin_server"]}, {"enabled": ["sample"]}):
            with pytest.raises(Conflict, match="admin_server is what answers"):
                await change_settings(room.plane, "codemie", changes, WHO)
        with pytest.raises(NotFound):
            await switch_plugin(room.plane, "nothing", False, WHO)
        assert all(addon.status.enabled for addon in room.plane.core.addons_in_order)
    assert kept() == {}
