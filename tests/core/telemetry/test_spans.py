"""Turns at a collector: what arrives there, and that one which does not answer holds nothing up."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.telemetry.endpoint import Endpoint
from codemie_core.telemetry.spans import Reporter
from codemie_core.telemetry.trace_context import TraceParent
from support.otlp import Collector, attributes_of
from support.records import STARTED_MS, new_record, tool_use

SECRET = "planted-collector-key"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def reporter_to(url: str) -> Reporter:
    headers = {"authorization": SecretStr(SECRET)}
    return Reporter(Endpoint(f"{url}/v1/traces", headers), Endpoint(f"{url}/v1/metrics", headers))


@pytest.fixture
def reporter(collector: Collector) -> Iterator[Reporter]:
    made = reporter_to(collector.url)
    yield made
    made.close()


def test_a_turn_arrives_as_a_span_with_its_times(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(), None)
    collector.wait_for(lambda: len(collector.spans) == 1)
    [span] = collector.spans
    assert (span.name, span.kind) == ("chat claude-sonnet-4-5", Span.SPAN_KIND_CLIENT)
    assert span.start_time_unix_nano == STARTED_MS * 1_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000_000
    assert (span.parent_span_id, span.status.code) == (b"", 0)
    assert attributes_of(span.attributes)["gen_ai.usage.output_tokens"] == 300
    assert collector.resources[0]["service.name"] == "codemie-proxy"
    assert collector.headers[0]["authorization"] == SECRET


def test_a_turn_that_failed_says_so(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(status=529), None)
    collector.wait_for(lambda: len(collector.spans) == 1)
    [span] = collector.spans
    assert (span.status.code, span.status.message) == (2, "529")


def test_a_turn_is_a_part_of_its_clients_trace(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(), TraceParent(0xABC, 0xDEF, sampled=True, state="vendor=1"))
    reporter.report(new_record(), None)
    collector.wait_for(lambda: len(collector.spans) == 2)
    joined, own = collector.spans
    assert (int.from_bytes(joined.trace_id), int.from_bytes(joined.parent_span_id)) == (0xABC, 0xDEF)
    assert joined.trace_state == "vendor=1"
    assert own.trace_id != joined.trace_id


def test_a_trace_that_its_client_does_not_sample_is_not_reported(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(), TraceParent(0xABC, 0xDEF, sampled=False))
    reporter.report(new_record(id="sampled"), None)
    collector.wait_for(lambda: len(collector.spans) == 1)
    assert attributes_of(collector.spans[0].attributes)["codemie.request.id"] == "sampled"


def test_metrics_arrive_under_the_names_of_the_conventions(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(), None)
    reporter.report(new_record(), None)
    # Each of them is sent again and again, with what came meanwhile.
    collector.wait_for(lambda: len(collector.metrics) == 4 and _turns(collector) == 2)
    points = collector.metrics["gen_ai.client.token.usage"].histogram.data_points
    tokens = {attributes_of(point.attributes)["gen_ai.token.type"]: (point.count, point.sum) for point in points}
    assert tokens == {"input": (2, 61_024), "output": (2, 600)}
    [duration] = collector.metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert (duration.count, duration.sum) == (2, 5.0)
    assert attributes_of(duration.attributes)["gen_ai.provider.name"] == "anthropic"
    [first] = collector.metrics["gen_ai.server.time_to_first_token"].histogram.data_points
    assert first.sum == pytest.approx(0.8)
    [cost] = collector.metrics["codemie.cost"].sum.data_points
    assert cost.as_double == pytest.approx(0.030822)


def test_a_name_that_is_no_text_does_not_spoil_the_batch(collector: Collector, reporter: Reporter) -> None:
    reporter.report(new_record(model_asked="\ud800", stop_reason="\udfff"), None)
    reporter.report(new_record(), None)
    collector.wait_for(lambda: len(collector.spans) == 2)


def test_nothing_of_what_was_said_leaves(collector: Collector, reporter: Reporter) -> None:
    record = new_record(tools=(tool_use("1"),))
    reporter.report(record, None)
    collector.wait_for(lambda: bool(collector.spans) and bool(collector.metrics))
    sent = b"".join(collector.bodies)
    kept_back = (record.labels.working_directory, record.labels.repository, "file_path", "src/new.py")
    assert [word for word in kept_back if word.encode() in sent] == []


def test_the_end_sends_what_is_left(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "60000")
    reporter = reporter_to(collector.url)
    reporter.report(new_record(), None)
    assert reporter.close(within=60)
    assert (len(collector.spans), "codemie.cost" in collector.metrics) == (1, True)


@pytest.mark.parametrize("trouble", ["hangs", "is down", "refuses"])
def test_a_collector_in_trouble_holds_up_neither_turns_nor_the_end(
    trouble: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waited for it would do so for longer than anything else here may take.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    with Collector(status=503 if trouble == "refuses" else 200, hang=trouble == "hangs") as collector:
        reporter = reporter_to(f"http://127.0.0.1:{closed_port()}" if trouble == "is down" else collector.url)
        began = time.monotonic()
        for _ in range(5_000):
            reporter.report(new_record(), None)
        assert not reporter.close(within=0.5)
        assert time.monotonic() - began < 120
    assert SECRET not in caplog.text


def test_an_outage_is_told_once_and_its_end_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, collector: Collector
) -> None:
    # What is refused for good is not tried again.
    collector.status = 400
    reporter = reporter_to(collector.url)

    def told(what: str) -> list[str]:
        return [message for message in caplog.messages if message.startswith(what)]

    reporter.report(new_record(), None)
    _until(lambda: told("Spans") and told("Metrics"))
    assert reporter.down
    for _ in range(2):
        seen = len(collector.headers)
        reporter.report(new_record(), None)
        collector.wait_for(lambda seen=seen: len(collector.headers) > seen + 1)  # type: ignore[misc]  # bound above
    collector.status = 200
    reporter.report(new_record(), None)
    collector.wait_for(lambda: bool(collector.spans) and bool(collector.metrics))
    _until(lambda: not reporter.down)
    reporter.close(within=60)
    spans = told("Spans")
    assert len(spans) == 2
    assert "do not arrive and are dropped; turns go on as before" in spans[0]
    assert "arrive again" in spans[1]
    assert SECRET not in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_the_end_leaves_no_thread_behind(collector: Collector) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    reporter = reporter_to(collector.url)
    reporter.report(new_record(), None)
    reporter.close()
    names = ("Otel", "telemetry")
    _until(lambda: not [t for t in threading.enumerate() if t.ident not in before and t.name.startswith(names)])


def _turns(collector: Collector) -> int:
    """How many the newest durations are of."""
    return sum(point.count for point in collector.metrics["gen_ai.client.operation.duration"].histogram.data_points)


def _until(holds: object, within: float = 60.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
