"""What can happen to an AddonManager: chains of addons, and changes at run time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow


@dataclass
class ChimeHook(hooks.Hook):
    """A custom hook, as the bundle has them."""

    note: str


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
