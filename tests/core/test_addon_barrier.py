"""The error barrier around each hook of an addon."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.test import taddons, tflow

from codemie_core import addon as addon_module
from codemie_core.addon import Addon, State
from codemie_core.containment import HOOKS, REQUEST_SIDE
from codemie_core.exchange import BOOK, exchange_of
from codemie_core.policy import Answer
from support.misbehaving import misbehaving

LIFECYCLE = {"load", "configure", "running", "done"}


ATTEMPT_HOOKS = {"upstream_response", "upstream_failed"}


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


class Recorder:
    """Comes after a failing addon in the same script and hears all there is."""

    name = "recorder"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, hook: str) -> Callable[..., None]:
        if hook not in HOOKS:
            raise AttributeError(hook)
        return lambda *args: self.heard.append(hook)


def arguments(hook: str) -> list[Any]:
    """What mitmproxy or the attempt machine hands to this hook, near enough."""
    flow = tflow.tflow()
    if hook in ATTEMPT_HOOKS:
        return [flow, exchange_of(flow).begin_attempt("api.example.com", 443)]
    if hook == "exchange_done":
        return [exchange_of(flow)]
    if hook == "update":
        return [[flow]]
    return [flow]


def trouble(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == addon_module.__name__]


@pytest.mark.parametrize("fail", ["open", "closed"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("hook", sorted(HOOKS - LIFECYCLE))
async def test_an_addon_that_raises_leaves_the_hook_to_the_next_one(
    hook: str, kind: str, fail: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, recorder = misbehaving(kind, fail)(), Recorder()
    with taddons.context() as tctx:
        tctx.master.addons.lookup[bad.name] = bad
        for _ in range(2):
            given = arguments(hook)
            event = hooks.all_hooks[hook](*given)
            await tctx.master.addons.invoke_addon(SimpleNamespace(name="script", addons=[bad, recorder]), event)
    assert recorder.heard == [hook, hook]
    assert bad.status.mishaps == {hook: 2}
    assert bad.status.state is State.DEGRADED
    assert f"{hook} always fails here" in (bad.status.error or "")
    [line] = trouble(caplog)
    assert f"misbehaving failed in {hook}: RuntimeError" in line
    if fail == "closed" and hook in ATTEMPT_HOOKS:
        assert isinstance(given[1].final, Answer)
    elif isinstance(given[0], http.HTTPFlow):
        blocked = given[0].response is not None and given[0].response.status_code == 502
        assert blocked is (fail == "closed" and hook in REQUEST_SIDE)


async def test_addon_halt_passes_the_barrier() -> None:
    class Halting(Addon, priority=40, name="halting"):
        def request(self, flow: http.HTTPFlow) -> None:
            raise exceptions.AddonHalt

        async def response(self, flow: http.HTTPFlow) -> None:
            raise exceptions.AddonHalt

    halting, recorder = Halting(), Recorder()
    with taddons.context() as tctx:
        for hook in ("request", "response"):
            script = SimpleNamespace(name="script", addons=[halting, recorder])
            with pytest.raises(exceptions.AddonHalt):
                await tctx.master.addons.invoke_addon(script, hooks.all_hooks[hook](tflow.tflow()))
    assert recorder.heard == []
    assert not halting.status.mishaps


async def test_a_cancelled_handler_stays_cancelled() -> None:
    class Waiting(Addon, priority=40, name="waiting"):
        async def request(self, flow: http.HTTPFlow) -> None:
            await asyncio.Event().wait()

    waiting = Waiting()
    task = asyncio.get_running_loop().create_task(waiting.request(tflow.tflow()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiting.status.mishaps


@pytest.mark.parametrize("hook", ["load", "configure"])
def test_a_handler_that_mitmproxy_calls_synchronously_cannot_be_async(hook: str) -> None:
    async def handler(self: Addon, _: object) -> None: ...

    with pytest.raises(TypeError, match=f"{hook} synchronously"):
        type("Late", (Addon,), {hook: handler}, priority=40)
