"""Telemetry of a real proxy, at a real collector: what arrives there, and what a bad one does to streams (nothing)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support.clients import Answer, Http1
from support.histories import until
from support.otlp import Collector, attributes_of
from support.proxy import Mitmproxy, failing_start, reverse

SECRET = "planted-collector-key-77"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXT = [("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "a=1"), ("baggage", "user=ann")]
ASK = json.dumps({"model": "claude-opus-4-5", "stream": True, "messages": []}).encode()
ENV = {
    "OTEL_BSP_SCHEDULE_DELAY": "20",
    "OTEL_METRIC_EXPORT_INTERVAL": "100",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{SECRET}",
}
STUBBORN = {"OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
LOST = "do not arrive and are dropped; turns go on as before"
PATIENCE = 60.0
QUICK = {"codemie_upstream_attempts_backoff": "1ms", "codemie_request_log_level": "debug"}
STREAMS = 60


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        yield running


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def options(url: str, **more: object) -> dict[str, object]:
    named = {f"codemie_telemetry_{name}": value for name, value in more.items()}
    return {**QUICK, "codemie_telemetry_otlp": True, "codemie_telemetry_endpoint": url, **named}


async def ask(proxy: Mitmproxy, *headers: tuple[str, str]) -> Answer:
    async with Http1(proxy.port) as client:
        return await client.ask("POST", "/v1/messages", [("content-type", "application/json"), *headers], ASK)


def telemetry_of(proxy: Mitmproxy) -> dict[str, object]:
    [addon] = [addon for addon in proxy.health()["addons"] if addon["name"] == "telemetry"]
    return addon["details"]


def logged(proxy: Mitmproxy, home: Path) -> str:
    """All that anybody can read afterwards."""
    return proxy.log + "".join(path.read_text() for path in (home / "logs").rglob("*.log*"))


async def test_a_stream_is_a_span_of_its_clients_trace_and_the_provider_does_not_hear_of_it(
    upstream: Upstream, collector: Collector, codemie_home: Path
) -> None:
    upstream.script(then=Step(events=5, text="planted words of the model"))
    with reverse(upstream.url, options=options(collector.url), env=ENV) as proxy:
        answer = await ask(proxy, *CONTEXT)
        await asyncio.to_thread(
            collector.wait_for, lambda: bool(collector.spans) and "codemie.cost" in collector.metrics
        )
        log = logged(proxy, codemie_home)
    assert answer.body.endswith(b"\n\n")
    [span] = collector.spans
    found = attributes_of(span.attributes)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert span.name == "chat claude-opus-4-5"
    assert found["gen_ai.usage.output_tokens"] == 5
    assert found["gen_ai.usage.input_tokens"] > 0
    assert found["codemie.cost.usd"] == pytest.approx((found["gen_ai.usage.input_tokens"] * 5 + 5 * 25) / 1e6)
    assert span.end_time_unix_nano > span.start_time_unix_nano > 1.7e18
    [received] = upstream.requests
    assert [name for name, _ in CONTEXT if received.header(name) is not None] == []
    assert collector.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in log
    assert b"planted words" not in b"".join(collector.bodies)


async def test_trace_headers_reach_the_provider_where_that_is_wanted(upstream: Upstream) -> None:
    with reverse(upstream.url, options={**QUICK, "codemie_telemetry_forward_trace_context": True}) as proxy:
        await ask(proxy, *CONTEXT)
    [received] = upstream.requests
    assert [received.header(name) for name, _ in CONTEXT] == [value for _, value in CONTEXT]


async def test_every_turn_is_counted_also_one_that_breaks_off(upstream: Upstream, collector: Collector) -> None:
    upstream.script(*[Step(events=3)] * 8, Step(status=400), Step(events=5, cut=Cut.CLOSE, after_events=5))
    with reverse(upstream.url, options=options(collector.url), env=ENV) as proxy:
        for _ in range(10):
            await ask(proxy)
        await asyncio.to_thread(collector.wait_for, lambda: len(collector.spans) >= 10)
    errors = [attributes_of(span.attributes).get("error.type", "") for span in collector.spans]
    assert sorted(errors) == sorted([""] * 8 + ["400", "truncated"])


@pytest.mark.parametrize("trouble", ["down", "hanging", "refusing"])
async def test_a_collector_in_trouble_for_the_whole_run_changes_no_stream_and_delays_no_end(
    trouble: str, upstream: Upstream, codemie_home: Path
) -> None:
    events = [sse(json.dumps({"n": number}), "content_block_delta") for number in range(30)]
    upstream.script(then=Step(events=events))
    with Collector(401 if trouble == "refusing" else 200, trouble == "hanging") as collector:
        url = f"http://127.0.0.1:{closed_port()}" if trouble == "down" else collector.url
        with reverse(upstream.url, options=options(url), env=ENV | STUBBORN) as proxy:
            answers = await asyncio.gather(*(ask(proxy) for _ in range(STREAMS)))
            assert {answer.body for answer in answers} == {b"".join(events)}
            assert {answer.ended for answer in answers} == {"complete"}
            if trouble == "refusing":
                for what in ("Spans", "Metrics"):
                    await asyncio.to_thread(proxy.wait_for_log, f"{what} .* {LOST}", PATIENCE)
            # Half as long as the exporter goes on trying.
            assert await asyncio.to_thread(proxy.stop, timeout=60) == 0
            log = logged(proxy, codemie_home)
    assert SECRET not in log
    assert log.count("Traceback") == 0
    if trouble == "refusing":
        assert proxy.log.count(LOST) == 2


def without_exporter(folder: Path) -> dict[str, str]:
    """A Python that does not have it."""
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.exporter'] = None\n")
    return {"PYTHONPATH": str(folder)}


def test_a_missing_exporter_refuses_the_start_with_the_fix(tmp_path: Path) -> None:
    code, said = failing_start(
        *("--mode", "reverse:http://127.0.0.1:9"),
        options={"codemie_telemetry_otlp": True},
        env=without_exporter(tmp_path),
    )
    assert code != 0
    assert "codemie_telemetry_otlp is set" in said
    assert "pip install 'codemie-proxy[otlp]'" in said
    assert "Traceback" not in said


def test_headers_that_cannot_be_read_refuse_the_start_without_showing_them() -> None:
    code, said = failing_start(
        *("--mode", "reverse:http://127.0.0.1:9"),
        options={"codemie_telemetry_otlp": True},
        env={"OTEL_EXPORTER_OTLP_HEADERS": f"Bearer {SECRET}"},
    )
    assert code != 0
    assert "OTEL_EXPORTER_OTLP_HEADERS: its entry 1 is not like name=value" in said
    assert SECRET not in said


async def test_without_a_collector_nothing_is_sent_anywhere(upstream: Upstream, collector: Collector) -> None:
    env = {**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with reverse(upstream.url, options=QUICK, env=env) as proxy:
        await ask(proxy)
        # A turn is counted a little later, and its counters are made with the first one.
        await until(lambda: telemetry_of(proxy) == {"prometheus": True, "collector": "off"})
    assert collector.bodies == []
