"""The indexed dispatch calls the same handlers in the same order, and logs the same, as mitmproxy's own.

Every scenario runs on a stock AddonManager and on an indexed one; calls and log records are compared.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, version
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.addons.script import Script, ScriptLoader
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.test import taddons, tflow

from codemie_core.seams import dispatch
from codemie_core.seams.dispatch import Dispatch, has_listeners, install

SCRIPT_LOAD_SECONDS = 10


@dataclass
class ChimeHook(hooks.Hook):
    """A custom hook, as the bundle has them."""

    note: str


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


@dataclass
class World:
    """One manager (stock or indexed) with what happened in it."""

    context: Any
    calls: list[str] = field(default_factory=list)

    @property
    def manager(self) -> AddonManager:
        manager: AddonManager = self.context.master.addons
        return manager

    async def fire(self) -> None:
        """The ways in which mitmproxy and we trigger events."""
        flow = tflow.tflow()
        for trigger in (
            lambda: self.manager.trigger_event(HttpRequestHook(flow)),
            lambda: self.manager.handle_lifecycle(HttpResponseHook(flow)),
            lambda: self.manager.trigger_event(ChimeHook("ding")),
            lambda: self.sync(HttpRequestHook(flow)),
            lambda: self.sync(hooks.UpdateHook([flow])),
        ):
            self.calls.append("--")
            try:
                await trigger()
            except exceptions.OptionsError as error:
                self.calls.append(f"OptionsError({error})")

    async def sync(self, event: hooks.Hook) -> None:
        self.manager.trigger(event)

    def addon(self, name: str, *children: object, **handlers: object) -> Any:
        """An addon that notes its calls; a handler is None (note only), an exception to raise, or a value."""
        members: dict[str, object] = {"name": name, "__repr__": lambda self: name}
        for event, behavior in (handlers or {"request": None}).items():
            members[event] = self._handler(name, event, behavior)
        if children:
            members["addons"] = list(children)
        return type(name, (), members)()

    def _handler(self, name: str, event: str, behavior: object) -> object:
        if behavior is not None and not isinstance(behavior, BaseException):
            return behavior

        def handler(_: object, *args: object) -> None:
            self.calls.append(f"{name}.{event}({', '.join(type(arg).__name__ for arg in args)})")
            if isinstance(behavior, BaseException):
                raise behavior

        return handler

    def slow(self, name: str, failure: Exception | None = None) -> Any:
        """An addon with async handlers."""
        calls = self.calls

        class Slow:
            async def request(self, flow: object) -> None:
                calls.append(f"{name}: begins")
                await asyncio.sleep(0)
                calls.append(f"{name}: ends")
                if failure:
                    raise failure

            response = request

            def __repr__(self) -> str:
                return name

        slow = Slow()
        vars(slow)["name"] = name
        return slow


Scenario = Callable[[World], Awaitable[None]]


def chain(build: Callable[[World], list[object]]) -> Scenario:
    async def scenario(world: World) -> None:
        world.manager.add(*build(world))
        await world.fire()
        await world.fire()

    return scenario


class RaisingHandler:
    """Loads, then its handler cannot be looked up."""

    name = "raising handler"
    broken = False

    @property
    def request(self) -> object:
        if self.broken:
            raise RuntimeError("no handler today")
        return None


class RaisingChildren:
    """Loads, then its list of children breaks."""

    name = "raising children"
    broken = False

    @property
    def addons(self) -> list[object]:
        if self.broken:
            raise RuntimeError("no children today")
        return []


CHAINS: dict[str, Scenario] = {
    "order": chain(lambda w: [w.addon("a"), w.addon("b", response=None), w.addon("c"), w.addon("d")]),
    "every event": chain(lambda w: [w.addon("a", request=None, response=None, update=None, chime=None)]),
    "children": chain(
        lambda w: [
            w.addon("a", w.addon("b"), w.addon("c", w.addon("d"), w.addon("e")), w.addon("f")),
            w.addon("g", w.addon("h"), response=None),
        ]
    ),
    "async": chain(lambda w: [w.slow("a"), w.addon("b"), w.slow("c")]),
    "async child": chain(lambda w: [w.addon("a", w.addon("b"), w.slow("c"), w.addon("d")), w.addon("e")]),
    "raising": chain(lambda w: [w.addon("a", request=ValueError("broken a")), w.addon("b")]),
    "raising async": chain(lambda w: [w.slow("a", ValueError("broken a")), w.addon("b")]),
    "raising parent": chain(lambda w: [w.addon("a", w.addon("b"), request=ValueError("broken a")), w.addon("c")]),
    "raising child": chain(
        lambda w: [
            w.addon("a", w.addon("b"), w.addon("c", request=KeyError("broken c")), w.addon("d")),
            w.addon("e", w.addon("f")),
        ]
    ),
    "halt": chain(lambda w: [w.addon("a"), w.addon("b", request=exceptions.AddonHalt()), w.addon("c")]),
    "halting child": chain(
        lambda w: [w.addon("a", w.addon("b", request=exceptions.AddonHalt()), w.addon("c")), w.addon("d")]
    ),
    "options error": chain(
        lambda w: [w.addon("a"), w.addon("b", request=exceptions.OptionsError("bad")), w.addon("c")]
    ),
    "module name": chain(
        lambda w: [w.addon("a", w.addon("b", request=logging), w.addon("c")), w.addon("d", request=logging)]
    ),
    "not callable": chain(
        lambda w: [w.addon("a"), w.addon("b", w.addon("c"), request="text"), w.addon("d", request=1)]
    ),
    "falsy handler": chain(lambda w: [w.addon("a", request=0), w.addon("b", request=""), w.addon("c")]),
    "no addon": chain(lambda w: []),
    "no listener": chain(lambda w: [w.addon("a", running=None)]),
}


async def addons_added_at_run_time(world: World) -> None:
    world.manager.add(world.addon("a"))
    await world.fire()
    world.manager.add(world.addon("b"), world.addon("c", world.addon("d")))
    await world.fire()


async def addons_removed_at_run_time(world: World) -> None:
    first, second, third = (world.addon(name, request=None, done=None) for name in "abc")
    world.manager.add(first, second, third)
    await world.fire()
    world.manager.remove(second)
    await world.fire()


async def cleared_at_run_time(world: World) -> None:
    world.manager.add(world.addon("a", request=None, done=None))
    await world.fire()
    world.manager.clear()
    await world.fire()
    world.manager.add(world.addon("a"))
    await world.fire()


async def moved_within_the_chain(world: World) -> None:
    world.manager.add(world.addon("a"), world.addon("b"))
    await world.fire()
    world.manager.chain.reverse()
    await world.fire()


async def children_registered_before_their_parent_holds_them(world: World) -> None:
    parent, child = world.addon("parent", world.addon("first")), world.addon("child")
    world.manager.add(parent)
    await world.fire()
    world.manager.register(child)
    world.manager.trigger(ChimeHook("in between"))
    parent.addons.append(child)
    await world.fire()


async def children_replaced_without_a_word(world: World) -> None:
    parent = world.addon("parent", world.addon("a"), world.addon("b"))
    world.manager.add(parent)
    await world.fire()
    parent.addons = [world.addon("c")]
    await world.fire()
    parent.addons.clear()
    await world.fire()


async def a_first_child_announced_by_register(world: World) -> None:
    parent, child = world.addon("parent"), world.addon("child")
    world.manager.add(parent)
    await world.fire()
    parent.addons = [child]
    world.manager.register(child)
    await world.fire()


async def a_handler_replaced(world: World) -> None:
    addon = world.addon("a")
    world.manager.add(addon)
    await world.fire()
    for handler in (lambda flow: world.calls.append("replaced"), None, "", logging, "text"):
        addon.request = handler
        await world.fire()


async def handlers_that_appear_in_configure_and_running(world: World) -> None:
    class Late:
        name = "late"

        def configure(self, updated: set[str]) -> None:
            vars(self)["request"] = lambda flow: world.calls.append("late.request")

        def running(self) -> None:
            vars(self)["response"] = lambda flow: world.calls.append("late.response")

    world.manager.add(Late())
    await world.fire()
    world.manager.trigger(hooks.ConfigureHook(set()))
    await world.fire()
    await world.manager.trigger_event(hooks.RunningHook())
    await world.fire()


async def addons_that_arrive_during_running(world: World) -> None:
    class Opener:
        name = "opener"

        def running(self) -> None:
            world.manager.add(world.addon("guest", running=None, request=None))

    world.manager.add(Opener(), world.addon("resident", running=None))
    await world.manager.trigger_event(hooks.RunningHook())
    await world.fire()


async def children_that_break_after_loading(world: World) -> None:
    parent = RaisingChildren()
    world.manager.add(world.addon("a"), parent, world.addon("b"))
    await world.fire()
    parent.broken = True
    await world.fire()
    parent.broken = False
    await world.fire()


async def a_handler_that_breaks_after_loading(world: World) -> None:
    addon = RaisingHandler()
    world.manager.add(world.addon("a"), addon, world.addon("b"))
    addon.broken = True
    await world.fire()


async def a_lifecycle_with_failures(world: World) -> None:
    world.manager.add(
        world.addon("a", world.addon("b", done=None), done=ValueError("broken done"), running=None),
        world.addon("c", done=None, configure=None),
    )
    await world.manager.trigger_event(hooks.RunningHook())
    world.context.options.update(http2=False)
    await world.manager.trigger_event(hooks.DoneHook())


async def a_configure_that_refuses(world: World) -> None:
    class Picky:
        name = "picky"

        def configure(self, updated: set[str]) -> None:
            world.calls.append(f"configure({sorted(updated)})")
            if "stickycookie" in updated:
                raise exceptions.OptionsError("not that one")

        def load(self, loader: Loader) -> None:
            loader.add_option("stickycookie", str, "", "A value.")

    world.manager.add(Picky(), world.addon("after", configure=None))
    with pytest.raises(exceptions.OptionsError):
        world.context.options.update(stickycookie="x")
    await world.fire()


CHANGES = [
    addons_added_at_run_time,
    addons_removed_at_run_time,
    cleared_at_run_time,
    moved_within_the_chain,
    children_registered_before_their_parent_holds_them,
    children_replaced_without_a_word,
    a_first_child_announced_by_register,
    a_handler_replaced,
    handlers_that_appear_in_configure_and_running,
    addons_that_arrive_during_running,
    children_that_break_after_loading,
    a_handler_that_breaks_after_loading,
    a_lifecycle_with_failures,
    a_configure_that_refuses,
]


@contextmanager
def recorded() -> Any:
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


async def test_scripts_loaded_reordered_edited_and_removed_are_followed(tmp_path: Path) -> None:
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
    warnings = [message for _, level, message, *_ in records if level == "WARNING"]
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
