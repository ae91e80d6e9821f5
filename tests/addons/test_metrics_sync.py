"""The metrics addon in a mitmproxy of the test's own: when it works, what it passes on, which settings it hears."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import metrics_sync
from codemie_core.durations import parse_duration
from codemie_core.metrics.service import Service
from codemie_core.places import Places
from codemie_core.recorded import UsageRecordedHook
from codemie_core.usage.record import Record
from metrics_sync import MetricsSync, parse_interval
from support.core_room import Room, running
from support.histories import until
from support.metrics_api import MetricsApi
from support.metrics_room import MetricsRoom
from support.records import new_record

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a proxy gives it four seconds: on a busy machine a last round may take longer."""
    end = Service.end
    monkeypatch.setattr(Service, "end", lambda service, within: end(service, 15 * within))


@pytest.fixture
def api(codemie_home: Path) -> Iterator[MetricsApi]:
    with MetricsApi() as made:
        made.sign_in(Places(codemie_home))
        profile(codemie_home, made.url)
        yield made


def profile(home: Path, url: str, **more: object) -> None:
    """The profile of somebody who signs in to CodeMie."""
    home.mkdir(exist_ok=True)
    values = {"provider": "ai-run-sso", "baseUrl": url, "authMethod": "sso", **more}
    (home / "codemie-cli.config.json").write_text(json.dumps(values))


async def record(room: Room, made: Record) -> None:
    await room.tctx.master.addons.trigger_event(UsageRecordedHook(made))


async def test_a_turn_is_written_and_at_the_end_sent(api: MetricsApi, codemie_home: Path) -> None:
    addon = MetricsSync()
    async with running(addon) as room:
        await record(room, new_record(host=HOST))
        await addon.drain()
        assert addon.health()["written"] == 1
    [came] = api.came
    assert came.attributes["total_user_prompts"] == 1
    assert set(MetricsRoom(codemie_home, api).marks().values()) == {"synced"}


async def test_what_waits_is_sent_when_somebody_says_so(api: MetricsApi, codemie_home: Path) -> None:
    addon = MetricsSync()
    assert await addon.sync_now() == "nothing is sent: it is not up yet"
    async with running(addon, codemie_metrics_sync_interval="1h") as room:
        # Its first round is over: it would send too, and leave nothing to be sent.
        await until(lambda: addon.health().get("last_sync_ms"))
        await record(room, new_record(host=HOST))
        assert (await addon.sync_now()).startswith("1 sent, 0 waiting")
        assert len(api.came) == 1
        room.options.update(codemie_metrics_sync_enabled=False)
        assert await addon.sync_now() == "nothing is sent: that is switched off"


async def test_a_turn_that_ends_while_it_still_starts_counts(api: MetricsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    addon, go = MetricsSync(), threading.Event()
    make = addon._make

    def slowly() -> Service:
        assert go.wait(30)
        return make()

    monkeypatch.setattr(addon, "_make", slowly)
    async with running(addon) as room:
        await asyncio.sleep(0)
        await record(room, new_record(host=HOST))
        assert addon.health() == {}
        go.set()
    assert len(api.came) == 1


async def test_what_went_elsewhere_is_no_concern_of_codemies(api: MetricsApi) -> None:
    addon = MetricsSync()
    async with running(addon) as room:
        await record(room, new_record(host="api.anthropic.com"))
        await record(room, new_record(host="api.anthropic.com:443"))
        await addon.drain()
        assert addon.health()["written"] == 0
    assert api.came == []


@pytest.mark.parametrize("provider", ["litellm", "", "bearer-auth"])
async def test_with_another_provider_it_does_nothing_and_says_so(codemie_home: Path, provider: str) -> None:
    profile(codemie_home, "http://127.0.0.1:9", provider=provider)
    addon = MetricsSync()
    async with running(addon) as room:
        await record(room, new_record(host=HOST))
        assert "ai-run-sso" in str(addon.health()["off"])
        assert vars(addon)["usage_recorded"] is None, "a hook that nobody has costs nothing"
    assert not (codemie_home / "sessions").exists()
    assert not (codemie_home / "proxy" / "proxy.db").exists()


async def test_without_any_profile_it_does_nothing(codemie_home: Path) -> None:
    addon = MetricsSync()
    async with running(addon):
        assert "not set" in str(addon.health()["off"])
    assert not codemie_home.exists() or not (codemie_home / "sessions").exists()


async def test_codemies_variable_switches_it_off(
    api: MetricsApi, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEMIE_METRICS_DISABLED", "1")
    addon = MetricsSync()
    async with running(addon) as room:
        await record(room, new_record(host=HOST))
        assert addon.health() == {"off": "CODEMIE_METRICS_DISABLED is set"}
    assert not (codemie_home / "sessions").exists()


async def test_it_can_be_switched_off_and_on_while_it_runs(api: MetricsApi) -> None:
    addon = MetricsSync()
    async with running(addon) as room:
        room.options.update(codemie_metrics_sync_enabled=False)
        await record(room, new_record(host=HOST))
        await addon.drain()
        assert addon.health()["sync"] == "off"
        room.options.update(codemie_metrics_sync_dry_run=True, codemie_metrics_sync_enabled=True)
        assert addon.health()["sync"] == "dry run"
    assert api.came == []


async def test_the_layout_stays_what_it_was_at_the_start(api: MetricsApi) -> None:
    addon = MetricsSync()
    async with running(addon) as room:
        await addon.drain()
        with pytest.raises(Exception, match="layout cannot be changed"):
            room.options.update(codemie_metrics_sync_layout="seed")


async def test_the_older_layout_has_its_own_folder(
    api: MetricsApi, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEMIE_METRICS_SYNC_LAYOUT", "seed")
    monkeypatch.setenv("CODEMIE_METRICS_SYNC_SCHEMA_VERSION", "v1")
    addon = MetricsSync()
    async with running(addon) as room:
        await record(room, new_record(host=HOST))
    assert list((codemie_home / "metrics" / "sessions").glob("*_metrics.jsonl"))
    assert json.loads(api.came[0].body)["name"] == "codemie_coding_agent_usage"


@pytest.mark.parametrize(
    "variables, changes, settings",
    [
        ({}, {}, (True, 300.0, False)),
        ({"CODEMIE_METRICS_SYNC_INTERVAL": "60000"}, {}, (True, 60.0, False)),
        ({"CODEMIE_METRICS_SYNC_INTERVAL": "10m"}, {}, (True, 600.0, False)),
        ({"CODEMIE_SESSION_SYNC_INTERVAL": "120000"}, {}, (True, 120.0, False)),
        ({"CODEMIE_SESSION_SYNC_ENABLED": "false"}, {}, (False, 300.0, False)),
        ({"CODEMIE_SESSION_SYNC_ENABLED": "0", "CODEMIE_METRICS_SYNC_ENABLED": "true"}, {}, (True, 300.0, False)),
        ({"CODEMIE_METRICS_SYNC_DRY_RUN": "1"}, {}, (True, 300.0, True)),
        ({"CODEMIE_SESSION_DRY_RUN": "true"}, {}, (True, 300.0, True)),
        ({"CODEMIE_METRICS_DRY_RUN": "1"}, {}, (True, 300.0, True)),
        ({}, {"session": {"sync": {"enabled": False}}}, (False, 300.0, False)),
        ({}, {"session": {"sync": {"dryRun": True}}}, (True, 300.0, True)),
        ({}, {"metrics": {"sync": {"enabled": False, "interval": 90000}}}, (False, 90.0, False)),
        ({"CODEMIE_SESSION_SYNC_ENABLED": "1"}, {"session": {"sync": {"enabled": False}}}, (True, 300.0, False)),
        ({}, {"session": {"sync": {"enabled": True}}, "metrics": {"sync": {"enabled": False}}}, (True, 300.0, False)),
    ],
)
async def test_codemies_own_names_for_the_settings_count(
    codemie_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    changes: dict[str, object],
    settings: tuple[bool, float, bool],
) -> None:
    profile(codemie_home, "http://127.0.0.1:9/code-assistant-api", **changes)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    addon = MetricsSync()
    async with running(addon):
        own = addon.settings
        assert (own.enabled, own.interval, own.dry_run) == settings


@pytest.mark.parametrize(
    "variables, changes, retries",
    [
        ({}, {}, 3),
        ({"CODEMIE_METRICS_MAX_RETRIES": "5"}, {"metrics": {"sync": {"maxRetries": 1}}}, 5),
        ({"CODEMIE_METRICS_SYNC_MAX_RETRIES": "0", "CODEMIE_METRICS_MAX_RETRIES": "5"}, {}, 0),
        ({}, {"metrics": {"sync": {"maxRetries": 1}}}, 1),
    ],
)
async def test_how_often_it_tries_again_is_said_in_codemies_own_names_too(
    codemie_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    changes: dict[str, object],
    retries: int,
) -> None:
    profile(codemie_home, "http://127.0.0.1:9/code-assistant-api", **changes)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    addon = MetricsSync()
    async with running(addon):
        assert addon.settings.max_retries == retries


@pytest.mark.parametrize(
    "text, seconds",
    [("300000", 300.0), (300000, 300.0), ("5m", 300.0), ("1500ms", 1.5), (" 2000 ", 2.0), (300.0, 300.0), ("1.5", 1.5)],
)
def test_a_bare_number_is_milliseconds_and_all_else_a_duration(text: str | float, seconds: float) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", True])
def test_what_is_no_interval_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_interval(text)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize(
    "field, value",
    [
        ("api_url", "http://metrics.example.com"),
        ("api_url", "https://user:secret@metrics.example.com"),
        ("path", "v1/metrics"),
        ("path", "/v1/metrics?x=1"),
        ("path", "/../admin"),
        ("interval", "10"),
        ("final_timeout", "30s"),
        ("layout", "old"),
        ("schema_version", "v3"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=field):
        MetricsSync.Settings.model_validate({field: value})


def test_defaults_are_those_of_the_design() -> None:
    own = MetricsSync.Settings()
    assert (own.interval, own.path, own.layout, own.schema_version) == (300.0, "/v1/metrics", "current", "v2")
    assert own.final_timeout <= parse_duration("5s")
    assert (MetricsSync.priority, MetricsSync.fail, MetricsSync.name) == (100, "open", "metrics_sync")
    assert metrics_sync.addons


async def test_what_cannot_start_collects_nothing_and_holds_up_no_end(
    api: MetricsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Service:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    addon = MetricsSync()
    monkeypatch.setattr(addon, "_make", broken)
    async with running(addon) as room:
        await record(room, new_record(host=HOST))
        await asyncio.wait_for(addon.drain(), 60)
        await record(room, new_record(host=HOST))
        assert addon._early == []
    assert "sqlalchemy" in (addon.status.error or "")


async def test_switched_off_and_on_while_it_starts_there_is_one_of_it(
    api: MetricsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Service] = []
    begin = Service.begin

    def noted(service: Service) -> None:
        begun.append(service)
        begin(service)

    monkeypatch.setattr(Service, "begin", noted)
    addon = MetricsSync()
    async with running(addon) as room:
        addon.switch(False)
        addon.switch(True)
        await record(room, new_record(host=HOST))
        await addon.drain()
        switching = {"start metrics_sync", "stop metrics_sync"}
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() in switching))
        assert len(begun) == 1
    assert len(api.came) == 1
