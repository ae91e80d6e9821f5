"""The base of every addon: settings and life cycle."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from mitmproxy import ctx, exceptions, hooks, http
from mitmproxy.test import taddons, tflow

from codemie_core import addon as addon_module
from codemie_core.addon import Addon, AddonSettings, State, Status
from codemie_core.core_addon import core_of
from codemie_core.errors import SettingsError
from codemie_core.exchange import BOOK
from support.misbehaving import misbehaving


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


@asynccontextmanager
async def running(*addons: Addon, **options: Any) -> AsyncIterator[taddons.context]:
    """The addons of one script, at work."""
    script = SimpleNamespace(name="script", addons=list(addons))
    with taddons.context(script) as tctx:
        tctx.options.update(**options)
        tctx.master.addons.invoke_addon_sync(script, hooks.ConfigureHook(tctx.options.keys()))
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield tctx
        await tctx.master.addons.trigger_event(hooks.DoneHook())


def trouble(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == addon_module.__name__]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_addon_that_raises_in_its_life_cycle_leaves_the_others_alone(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = misbehaving(kind)(), Plain()
    async with running(bad, good):
        await asyncio.sleep(0)
        assert good.calls == ["load", "configure", "start", "running"]
    assert set(good.calls[4:]) == {"done", "stop"}
    assert {"load", "configure", "running", "start", "done", "stop"} <= bad.status.mishaps.keys()
    assert len(trouble(caplog)) == len(set(trouble(caplog)))


class Plain(Addon, priority=40, name="plain"):
    """Notes what happens to it."""

    class Settings(AddonSettings):
        """One of them."""

        limit: int = 3

    def __init__(self) -> None:
        self.calls: list[str] = []

    def load(self, loader: object) -> None:
        self.calls.append("load")

    def configure(self, updated: set[str]) -> None:
        if "configure" not in self.calls:
            self.calls.append("configure")

    def running(self) -> None:
        self.calls.append("running")

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def done(self) -> None:
        self.calls.append("done")


async def test_the_settings_are_those_of_the_options() -> None:
    plain = Plain()
    async with running(plain, codemie_plain_limit=5) as tctx:
        assert plain.settings == Plain.Settings(limit=5)
        tctx.options.update(codemie_plain_limit=6)
        assert plain.settings.limit == 6


async def test_options_of_others_do_not_settle_an_addon_again() -> None:
    class Settling(Addon, priority=40, name="settling"):
        times = 0

        def settled(self) -> None:
            self.times += 1

    settling = Settling()
    async with running(settling, Plain()) as tctx:
        before = settling.times
        tctx.options.update(codemie_plain_limit=6)
        assert settling.times == before


class Picky(Addon, priority=40, name="picky"):
    """Refuses in its own words, crashes on demand, or raises an OptionsError of its own."""

    class Settings(AddonSettings):
        """One of them."""

        word: str = "good"

    def settled(self) -> None:
        if self.settings.word == "refused":
            raise SettingsError("codemie_picky_word: choose a better one")
        if self.settings.word == "crash":
            raise ZeroDivisionError("by accident")

    def configure(self, updated: set[str]) -> None:
        if ctx.options.codemie_picky_word == "stubborn":
            raise exceptions.OptionsError("codemie_picky_word: not that one")


@pytest.mark.parametrize("word", ["refused", "stubborn"])
async def test_a_change_that_an_addon_refuses_is_rolled_back(word: str) -> None:
    picky = Picky()
    async with running(picky) as tctx:
        with pytest.raises(exceptions.OptionsError, match="codemie_picky_word: "):
            tctx.options.update(codemie_picky_word=word)
        assert picky.settings.word == tctx.options.codemie_picky_word == "good"
        assert not picky.status.mishaps


@pytest.mark.parametrize("word", ["refused", "stubborn"])
async def test_before_the_start_a_refusal_is_collected_and_the_others_are_configured(word: str) -> None:
    picky, plain = Picky(), Plain()
    with taddons.context(SimpleNamespace(name="script", addons=[picky, plain])) as tctx:
        tctx.options.update(codemie_picky_word=word)
        [problem] = set(core_of(picky).layers.problems)
        assert problem.startswith("codemie_picky_word: ")
        assert plain.settings.limit == 3


async def test_an_addon_that_crashes_over_its_settings_takes_nobody_with_it(caplog: pytest.LogCaptureFixture) -> None:
    picky, plain = Picky(), Plain()
    async with running(picky, plain) as tctx:
        tctx.options.update(codemie_picky_word="crash", codemie_plain_limit=9)
        assert plain.settings.limit == 9
    assert picky.status.mishaps["configure"] == 1
    assert "ZeroDivisionError" in trouble(caplog)[0]


class Undeclarable(Addon, priority=40, name="undeclarable", fail="closed"):
    """A setting that no option can hold."""

    class Settings(AddonSettings):
        """Floats do not work with --set."""

        share: float = 0.5

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        raise AssertionError("must not be called")

    def response(self, flow: http.HTTPFlow) -> None:
        raise AssertionError("must not be called")


async def test_an_addon_that_cannot_declare_its_settings_fails_alone() -> None:
    bad, plain, flow = Undeclarable(), Plain(), tflow.tflow()
    async with running(bad, plain) as tctx:
        assert bad.status.state is State.FAILED
        assert "codemie_undeclarable_share" in (bad.status.error or "")
        assert not bad.status.started
        assert plain.settings.limit == 3
        await tctx.master.addons.invoke_addon(bad, hooks.all_hooks["response"](flow))
        assert flow.response is None
        # It fails closed: nothing passes on the request side.
        await tctx.master.addons.invoke_addon(bad, hooks.all_hooks["requestheaders"](flow))
        assert flow.response is not None
        assert flow.response.status_code == 502


@pytest.mark.parametrize("fail, level", [("open", logging.WARNING), ("closed", logging.ERROR)], ids=["open", "closed"])
async def test_until_start_up_is_over_only_an_addon_that_fails_closed_logs_an_error(
    fail: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    bad = misbehaving("sync", fail)()
    with taddons.context(bad):
        assert {record.levelno for record in caplog.records if "failed in" in record.getMessage()} == {level}


async def test_while_the_proxy_runs_every_mishap_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    bad = misbehaving("sync")()
    async with running(bad):
        caplog.clear()
        bad.request(tflow.tflow())  # type: ignore[attr-defined] # made by the factory
        [record] = caplog.records
        assert record.levelno == logging.ERROR


class Working(Addon, priority=40, name="working"):
    """Async in its work."""

    log: ClassVar[list[str]] = []

    async def start(self) -> None:
        self.log.append("start")

    async def stop(self) -> None:
        self.log.append("stop")

    def request(self, flow: http.HTTPFlow) -> None:
        self.log.append("request")


@pytest.fixture
def working() -> Working:
    Working.log.clear()
    return Working()


async def test_an_addon_is_switched_off_and_on_while_the_proxy_runs(working: Working) -> None:
    async with running(working) as tctx:
        tctx.options.update(codemie_disabled=["working"])
        working.request(tflow.tflow())
        await asyncio.sleep(0)
        assert working.status.state == "disabled"
        tctx.options.update(codemie_disabled=[])
        working.request(tflow.tflow())
        await asyncio.sleep(0)
        assert working.status.state == "active"
    assert sorted(working.log) == ["request", "start", "start", "stop", "stop"]


async def test_switching_to_where_it_is_does_nothing(working: Working) -> None:
    async with running(working):
        working.switch(True)
        await asyncio.sleep(0)
        assert working.log == ["start"]
        working.switch(False)
        working.switch(False)
        await asyncio.sleep(0)
        assert working.log == ["start", "stop"]


async def test_a_disabled_addon_does_not_start(working: Working) -> None:
    plain = Plain()
    async with running(plain, working, codemie_disabled=["working"]):
        await asyncio.sleep(0)
        assert working.status.state is State.DISABLED
    assert working.log == []


async def test_a_removed_addon_stops_by_itself(working: Working) -> None:
    async with running(Plain(), working) as tctx:
        await asyncio.sleep(0)
        tctx.master.addons.remove(working)
        await asyncio.sleep(0)
        assert working.log == ["start", "stop"]


async def test_an_addon_that_takes_too_long_to_stop_is_left_behind() -> None:
    class Slow(Addon, priority=40, name="slow"):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    slow = Slow()
    with taddons.context(slow):
        slow.status.started = True
        await slow.finish(within=0.01)
        await slow.finish(within=0.01)
    assert slow.status.mishaps == {"stop": 1}
    assert "TimeoutError" in (slow.status.error or "")


async def test_at_the_end_all_hand_over_in_order_before_the_first_stops() -> None:
    log: list[str] = []

    class Source(Addon, priority=40, name="source"):
        async def drain(self) -> None:
            log.append("source drains")

        async def stop(self) -> None:
            log.append("source stops")

    class Sink(Addon, priority=50, name="sink"):
        async def drain(self) -> None:
            log.append("sink drains")
            raise RuntimeError("a sink may fail")

        def stop(self) -> None:
            log.append("sink stops")

    sink = Sink()
    async with running(Source(), sink) as tctx:
        await asyncio.sleep(0)
        core = tctx.master.addons.get("codemie_core")
        await core.done()
    assert log == ["source drains", "sink drains", "sink stops", "source stops"]
    assert sink.status.mishaps == {"drain": 1}


async def test_an_addon_that_takes_too_long_to_hand_over_is_not_waited_for() -> None:
    class Slow(Addon, priority=40, name="slow"):
        async def drain(self) -> None:
            await asyncio.Event().wait()

    slow = Slow()
    with taddons.context(slow):
        slow.status.started = True
        await slow.hand_over(within=0.01)
    assert slow.status.mishaps == {"drain": 1}


def test_the_module_names_the_addon() -> None:
    class HeaderInjection(Addon, priority=20):
        pass

    assert HeaderInjection.name == "test_addon"
    alone: Any = type("Alone", (Addon,), {"__module__": "__mitmproxy_script__.header_injection"}, priority=20)
    assert alone.name == "header_injection"


def test_a_status_says_one_word_for_all_of_it() -> None:
    assert Status().state is State.ACTIVE
    assert Status(enabled=False).state is State.DISABLED
    assert Status(enabled=False, failed=True).state is State.FAILED


def test_settings_are_frozen_and_know_their_keys() -> None:
    with pytest.raises(ValueError, match="limt"):
        Plain.Settings.model_validate({"limt": 3})
    with pytest.raises(ValueError, match="frozen"):
        setattr(Plain.Settings(), "limit", 4)  # noqa: B010 - mypy knows that it is frozen
