"""Turns as spans and as OTLP metrics. Needs the extra `otlp`; imported when it is used.

Batches are sent by threads of OpenTelemetry's own: a collector that is slow or down delays nobody, and what does not
fit into the queues is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from codemie_core import __version__
from codemie_core.telemetry import names
from codemie_core.telemetry.attributes import error_of, metric_attributes, span_attributes, span_name
from codemie_core.telemetry.endpoint import Endpoint
from codemie_core.telemetry.trace_context import TraceParent
from codemie_core.usage.cost import NANO
from codemie_core.usage.record import Record

logger = logging.getLogger(__name__)

FLUSH_BOUND = 2.0
"""Seconds that the end waits for the last batches."""


class Reporter:
    """`report` each record; `close` in the end. Making one takes 0.2 s: not on the event loop.

    How often batches leave, how long a send may take and which traces are sampled: by the variables of OpenTelemetry.
    """

    def __init__(self, traces: Endpoint, metrics: Endpoint) -> None:
        _mute()
        resource = Resource.create({SERVICE_NAME: names.SERVICE, SERVICE_VERSION: __version__})
        self._span_exporter = _Spans(traces)
        self._processor = BatchSpanProcessor(self._span_exporter)
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(self._processor)
        self._tracer = tracers.get_tracer(names.SCOPE, __version__)
        self._metric_exporter = _Metrics(metrics)
        reader = PeriodicExportingMetricReader(self._metric_exporter)
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        meter = self._meters.get_meter(names.SCOPE, __version__)
        histogram = meter.create_histogram
        self._tokens = histogram(
            names.TOKEN_USAGE, "{token}", "Tokens used.", explicit_bucket_boundaries_advisory=names.TOKEN_BOUNDS
        )
        self._duration = histogram(
            names.OPERATION_DURATION, "s", "The whole turn.", explicit_bucket_boundaries_advisory=names.DURATION_BOUNDS
        )
        self._first_token = histogram(
            names.TIME_TO_FIRST_TOKEN,
            "s",
            "Until the first token.",
            explicit_bucket_boundaries_advisory=names.FIRST_TOKEN_BOUNDS,
        )
        self._cost = meter.create_counter(names.COST_TOTAL, "{USD}", "What it cost, as far as prices are known.")

    def report(self, record: Record, parent: TraceParent | None) -> None:
        """One turn, as a part of the client's trace if it named one."""
        self._span(record, parent)
        attributes: Any = metric_attributes(record)
        self._duration.record(record.total_ms / 1000, attributes)
        if record.first_token_ms is not None:
            self._first_token.record(record.first_token_ms / 1000, attributes)
        if record.usage.prompt is not None:
            self._tokens.record(record.usage.prompt, {**attributes, names.TOKEN_TYPE: "input"})
        if record.usage.output is not None:
            self._tokens.record(record.usage.output, {**attributes, names.TOKEN_TYPE: "output"})
        if record.cost.nano_usd is not None:
            self._cost.add(record.cost.nano_usd / NANO, attributes)

    @property
    def down(self) -> bool:
        """Did the collector refuse the newest batch?"""
        return self._span_exporter.outage.on or self._metric_exporter.outage.on

    def close(self, within: float = FLUSH_BOUND) -> bool:
        """Send what is left; False when `within` seconds were too short. Blocks no longer than that.

        A collector that was down a moment ago is given a fourth of it.
        """
        deadline = time.monotonic() + (within / 4 if self.down else within)
        ends = [_in_thread(self._processor.shutdown), _in_thread(self._meters.shutdown)]
        done = [end.wait(max(0.0, deadline - time.monotonic())) for end in ends]
        # Whoever still tries again is woken and gives up. All these threads are daemons: none outlives the process.
        self._span_exporter.shutdown()  # type: ignore[no-untyped-call]  # as it is written there
        self._metric_exporter.shutdown()
        return all(done)

    def _span(self, record: Record, parent: TraceParent | None) -> None:
        began = record.started_ms * 1_000_000
        attributes: Any = span_attributes(record)
        span = self._tracer.start_span(
            span_name(record), _context(parent), SpanKind.CLIENT, attributes, start_time=began
        )
        if error := error_of(record):
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(began + round(record.total_ms * 1_000_000))


class _Outage:
    """Says once that a collector does not take what it is sent, and once that it does again."""

    def __init__(self, what: str, endpoint: Endpoint) -> None:
        self._what, self._host = what, endpoint.host
        self.on = False

    def saw(self, success: bool) -> None:
        if success == self.on:
            self.on = not success
            ending = "arrive again" if success else "do not arrive and are dropped; turns go on as before"
            logger.warning("%s for the collector at %s %s", self._what, self._host, ending)


class _Spans(OTLPSpanExporter):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.url, headers=_headers(endpoint))
        self.outage = _Outage("Spans", endpoint)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self.outage.saw(result is SpanExportResult.SUCCESS)
        return result


class _Metrics(OTLPMetricExporter):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.url, headers=_headers(endpoint))
        self.outage = _Outage("Metrics", endpoint)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self.outage.saw(result is MetricExportResult.SUCCESS)
        return result


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in endpoint.headers.items()}


def _context(parent: TraceParent | None) -> Context:
    """Below the client's span, or at the root of a trace of our own."""
    if parent is None:
        return Context()
    state = TraceState.from_header([parent.state]) if parent.state else None
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    theirs = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags, trace_state=state)
    return set_span_in_context(NonRecordingSpan(theirs), Context())


def _in_thread(work: Callable[[], None]) -> threading.Event:
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    threading.Thread(target=run, name="telemetry flush", daemon=True).start()
    return done


def _mute() -> None:
    """Its own messages repeat every few seconds, and may quote what a collector answers; ours say it once."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
