"""The telemetry addon, in process: when it counts, what it takes off requests, and how it is switched."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core.core_addon import core_of
from codemie_core.exchange import exchange_of
from codemie_core.recorded import UsageRecordedHook
from codemie_core.usage.record import Record
from support.otlp import Collector
from support.proxy import ADDONS
from support.records import new_record
from telemetry import Telemetry

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Telemetry, taddons.context]]:
    addon = Telemetry()
    with taddons.context(addon) as tctx:
        tctx.configure(addon, **{f"codemie_telemetry_{name}": value for name, value in options.items()})
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield addon, tctx
        await addon.finish(within=60.0)


async def tell(tctx: taddons.context, record: Record) -> None:
    await tctx.master.addons.trigger_event(UsageRecordedHook(record))


def request(**headers: str) -> http.HTTPFlow:
    fields = [(name.encode(), value.encode()) for name, value in {"x-other": "1", **headers}.items()]
    flow = tflow.tflow(req=tutils.treq(path=b"/v1/messages", headers=http.Headers(fields)))
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://api.anthropic.com")
    return flow


async def test_turns_are_counted_from_the_first_one_on() -> None:
    async with running() as (addon, tctx):
        # No wait: the libraries are still being imported.
        await tell(tctx, new_record())
        assert addon.counters is not None
        assert b"codemie_proxy_requests_total{" in addon.counters.rendered()
        assert addon.health() == {"prometheus": True, "collector": "off"}


async def test_nothing_is_counted_where_nobody_wants_it() -> None:
    async with running(prometheus=False) as (addon, tctx):
        await tell(tctx, new_record())
        assert addon.counters is None


async def test_without_the_library_turns_go_on_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "codemie_core.telemetry.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with running() as (addon, tctx):
        await tell(tctx, new_record())
        assert (addon.counters, addon.status.mishaps) == (None, {})


def test_importing_it_loads_none_of_the_libraries() -> None:
    heavy = ("prometheus_client", "opentelemetry", "google.protobuf", "requests")
    code = f"import sys, telemetry; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ADDONS)}, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


async def test_a_turn_reaches_the_collector_below_its_clients_span(collector: Collector) -> None:
    async with running(otlp=True, endpoint=collector.url) as (addon, tctx):
        flow = request(traceparent=PARENT)
        addon.requestheaders(flow)
        await tell(tctx, new_record(id=exchange_of(flow).request_id))
        collector.wait_for(lambda: len(collector.spans) == 1)
        assert collector.spans[0].trace_id.hex() == PARENT[3:35]
        assert addon.health()["collector"] == "up"


@pytest.mark.parametrize("otlp", [True, False])
async def test_trace_headers_stay_here_whether_or_not_there_is_a_collector(otlp: bool, collector: Collector) -> None:
    async with running(otlp=otlp, endpoint=collector.url) as (addon, _):
        flow = request(Traceparent=PARENT, tracestate="a=1", baggage="user=ann")
        addon.requestheaders(flow)
        assert flow.request.headers.fields == ((b"x-other", b"1"),)


async def test_trace_headers_go_on_where_they_are_wanted() -> None:
    async with running(forward_trace_context=True) as (addon, _):
        flow = request(traceparent=PARENT, baggage="user=ann")
        before = flow.request.headers.fields
        addon.requestheaders(flow)
        assert flow.request.headers.fields is before


async def test_a_request_out_of_scope_passes_as_it_is() -> None:
    async with running() as (addon, _):
        flow = request(traceparent=PARENT)
        exchange_of(flow).scoped = False
        before = flow.request.headers.fields
        addon.requestheaders(flow)
        assert flow.request.headers.fields is before


async def test_a_collector_can_be_named_while_the_proxy_runs(collector: Collector) -> None:
    async with running() as (addon, tctx):
        await tell(tctx, new_record())
        core_of(addon).running_since = 1.0
        tctx.configure(addon, codemie_telemetry_endpoint=collector.url, codemie_telemetry_otlp=True)
        await renewed()
        await tell(tctx, new_record())
        collector.wait_for(lambda: len(collector.spans) == 1)
        tctx.configure(addon, codemie_telemetry_otlp=False)
        await renewed()
        assert addon.health() == {"prometheus": True, "collector": "off"}
        assert addon.counters is not None
        assert b'terminal="complete"} 2.0' in addon.counters.rendered()


async def test_a_collector_that_cannot_be_used_is_refused_and_nothing_changes() -> None:
    async with running() as (addon, tctx):
        core_of(addon).running_since = 1.0
        with pytest.raises(exceptions.OptionsError, match="codemie_telemetry_endpoint must be like"):
            tctx.configure(addon, codemie_telemetry_otlp=True, codemie_telemetry_endpoint="nowhere")
        assert addon.health()["collector"] == "off"


async def test_a_missing_exporter_is_told_at_the_start_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    addon = Telemetry()
    with taddons.context(addon) as tctx:
        tctx.configure(addon, codemie_telemetry_otlp=True)
        [problem] = core_of(addon).layers.problems
        assert problem.startswith("codemie_telemetry_otlp is set")
        assert "pip install 'codemie-proxy[otlp]'" in problem


async def test_the_last_turns_are_sent_at_the_end(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    async with running(otlp=True, endpoint=collector.url) as (_, tctx):
        await tell(tctx, new_record())
    assert len(collector.spans) == 1


async def renewed() -> None:
    """What a change of the settings has begun is done."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("telemetry")))
