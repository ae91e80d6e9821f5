"""The indexed dispatch calls the same handlers in the same order, and logs the same, as mitmproxy's own.

Every scenario runs on a stock AddonManager and on an indexed one; calls and log records are compared.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import version
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.script import Script, ScriptLoader
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import taddons, tflow

from codemie_core.seams import dispatch
from codemie_core.seams.dispatch import Dispatch, has_listeners, install
from support.dispatch_scenarios import CHAINS, CHANGES, RaisingChildren, Scenario, World

SCRIPT_LOAD_SECONDS = 60


class Records(logging.Handler):
    """Log records as comparable values, the frames of their tracebacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, ...]] = []

    def emit(self, record: logging.LogRecord) -> None:
        frames, error = [], ""
        if record.exc_info and record.exc_info[1]:
            frames = [frame.name for frame in traceback.extract_tb(record.exc_info[2])]
            error = repr(record.exc_info[1])
        self.seen.append((record.name, record.levelname, record.getMessage(), frames, error))


@contextmanager
def recorded() -> Iterator[list[tuple[object, ...]]]:
    """The log records of the block."""
    records, root = Records(), logging.getLogger()
    root.addHandler(records)
    try:
        yield records.seen
    finally:
        root.removeHandler(records)


async def happenings(scenario: Scenario, *, indexed: bool) -> tuple[list[str], list[tuple[object, ...]]]:
    with taddons.context(loadcore=False) as context, recorded() as records:
        world = World(context)
        if indexed:
            assert isinstance(install(world.manager), Dispatch)
        await scenario(world)
        return world.calls, records


async def assert_equivalent(scenario: Scenario) -> list[str]:
    stock_calls, stock_records = await happenings(scenario, indexed=False)
    calls, records = await happenings(scenario, indexed=True)
    assert calls == stock_calls
    assert records == stock_records
    return calls


@pytest.mark.parametrize("name", CHAINS)
async def test_a_chain_behaves_as_under_mitmproxys_own_dispatch(name: str) -> None:
    await assert_equivalent(CHAINS[name])


@pytest.mark.parametrize("scenario", CHANGES, ids=lambda scenario: scenario.__name__)
async def test_a_change_at_run_time_counts_as_under_mitmproxys_own_dispatch(scenario: Scenario) -> None:
    await assert_equivalent(scenario)


async def test_scripts_loaded_reordered_edited_and_removed_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # mitmproxy looks for edits by itself, too: at moments of its own, which differ from one run to the next.
    monkeypatch.setattr("mitmproxy.addons.script.ReloadInterval", 3600)
    paths = [tmp_path / "first.py", tmp_path / "second.py"]

    def write(path: Path, text: str) -> None:
        path.write_text(
            "import logging\n"
            f"class Child:\n    name = '{path.stem} child'\n"
            f"    def request(self, flow): logging.warning('{text}: child')\n"
            f"def request(flow): logging.warning('{text}')\n"
            "addons = [Child()]\n"
        )

    async def loaded(scripts: list[Script]) -> None:
        deadline = time.monotonic() + SCRIPT_LOAD_SECONDS
        while not all(script.ns for script in scripts):
            assert time.monotonic() < deadline, "mitmproxy did not load the scripts"
            await asyncio.sleep(0.01)

    async def scenario(world: World) -> None:
        first, second = map(str, paths)
        for path in paths:
            write(path, path.stem)
        loader = ScriptLoader()
        world.manager.add(world.addon("before"), loader, world.addon("after"))
        world.context.options.update(scripts=[first, second])
        await loaded(loader.addons)
        await world.fire()
        world.context.options.update(scripts=[second, first])
        await world.fire()
        write(paths[1], "second, edited")
        loader.addons[0].loadscript()
        await world.fire()
        write(paths[1], "second, broken)'(")
        loader.addons[0].loadscript()
        await world.fire()
        world.context.options.update(scripts=[])
        await world.fire()

    _, stock = await happenings(scenario, indexed=False)
    _, indexed = await happenings(scenario, indexed=True)
    assert indexed == stock
    said = [record[2] for record in indexed]
    assert {"first", "first: child", "second", "second, edited", "second, edited: child"} <= set(said)


async def test_a_cancelled_handler_is_not_swallowed() -> None:
    class Stuck:
        async def request(self, flow: object) -> None:
            raise asyncio.CancelledError

    with taddons.context(loadcore=False) as context:
        install(context.master.addons)
        context.master.addons.add(Stuck())
        with pytest.raises(asyncio.CancelledError):
            await context.master.addons.trigger_event(HttpRequestHook(tflow.tflow()))


async def test_an_addon_without_the_hook_is_asked_only_once() -> None:
    asked: list[str] = []

    class Idle:
        name = "idle"

        def __getattr__(self, name: str) -> object:
            asked.append(name)
            raise AttributeError(name)

    with taddons.context(loadcore=False) as context:
        context.master.addons.add(Idle())
        install(context.master.addons)
        asked.clear()
        for _ in range(3):
            await context.master.addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    assert [asked.count(name) for name in ("request", "update")] == [1, 1]


async def test_installing_twice_keeps_the_first_and_uninstalling_gives_mitmproxys_own_back() -> None:
    with taddons.context(loadcore=False) as context:
        manager = context.master.addons
        before = dict(manager.__dict__)
        first = install(manager)
        assert first is not None
        assert install(manager) is first
        first.uninstall()
        assert manager.__dict__ == before
        assert isinstance(install(manager), Dispatch)


async def test_uninstalling_leaves_the_methods_of_others_alone() -> None:
    with taddons.context(loadcore=False) as context:
        manager = context.master.addons
        present = install(manager)
        assert present is not None
        others = lambda event: None  # noqa: E731 - an instance attribute, as a patch would set it
        manager.trigger = others
        present.uninstall()
        assert manager.trigger is others


async def assert_steps_aside(manager: AddonManager, reason: str) -> None:
    with recorded() as records:
        assert install(manager) is None
    warnings = [str(message) for _, level, message, *_ in records if level == "WARNING"]
    assert len(warnings) == 1
    assert reason in warnings[0]
    assert not isinstance(getattr(manager.trigger_event, "__self__", None), Dispatch)


async def test_another_version_of_mitmproxy_keeps_its_own_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", "13.0.0")
    with taddons.context(loadcore=False) as context:
        await assert_steps_aside(context.master.addons, "mitmproxy 13.0.0 found")


async def test_a_mitmproxy_with_other_code_inside_keeps_its_own_dispatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def traverse(chain: list[Any]) -> Any:
        yield from chain

    monkeypatch.setattr("mitmproxy.addonmanager.traverse", traverse)
    with taddons.context(loadcore=False) as context:
        await assert_steps_aside(context.master.addons, dispatch.SHAPE.name)


async def test_a_manager_patched_by_someone_else_is_left_alone() -> None:
    with taddons.context(loadcore=False) as context:
        manager = context.master.addons
        manager.trigger = lambda event: None
        await assert_steps_aside(manager, "something else")


@pytest.mark.parametrize("indexed", [False, True], ids=["stock", "indexed"])
async def test_a_hook_that_nobody_listens_to_is_known(indexed: bool) -> None:
    with taddons.context(loadcore=False) as context:
        world = World(context)
        listener = world.addon("a", world.addon("b", chime=None))
        world.manager.add(world.addon("c", chime=logging))
        if indexed:
            install(world.manager)
        assert not has_listeners(world.manager, "chime")
        world.manager.add(listener)
        assert has_listeners(world.manager, "chime")
        assert not has_listeners(world.manager, "running")
        world.manager.remove(listener)
        assert not has_listeners(world.manager, "chime")


@pytest.mark.parametrize("indexed", [False, True], ids=["stock", "indexed"])
async def test_a_chain_that_cannot_be_read_may_have_listeners(indexed: bool) -> None:
    with taddons.context(loadcore=False) as context:
        manager, broken = context.master.addons, RaisingChildren()
        manager.add(broken)
        if indexed:
            install(manager)
        assert not has_listeners(manager, "chime")
        broken.broken = True
        assert has_listeners(manager, "chime")
