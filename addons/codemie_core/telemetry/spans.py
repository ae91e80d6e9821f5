"""Turns as spans and as OTLP metrics. Needs the extra `otlp`; imported when it is used.

Batches are sent by threads of OpenTelemetry's own: a collector that is slow or down delays nobody, and what does not
fit into the queues is dropped.
"""

from __future__ import annotations

import logging
import threading
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
    """`report` each record; `close` in the end. Making one takes 0.2 s: not on the event loop."""

    def __init__(self, traces: Endpoint, metrics: Endpoint, interval: float, delay: float) -> None:
        """Metrics go out every `interval` seconds, spans after `delay` seconds at most."""
        _mute()
        resource = Resource.create({SERVICE_NAME: names.SERVICE, SERVICE_VERSION: __version__})
        self._span_exporter = _Spans(traces)
        self._processor = BatchSpanProcessor(self._span_exporter, schedule_delay_millis=delay * 1000)
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(self._processor)
        self._tracer = tracers.get_tracer(names.SCOPE, __version__)
        self._metric_exporter = _Metrics(metrics)
        self._reader = PeriodicExportingMetricReader(self._metric_exporter, export_interval_millis=interval * 1000)
        self._meters = MeterProvider([self._reader], resource, shutdown_on_exit=False)
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

    def close(self, within: float = FLUSH_BOUND) -> bool:
        """Send what is left; False when `within` seconds were too short. Blocks no longer than that."""
        ends = [
            _in_thread(self._processor.shutdown),
            _in_thread(lambda: self._meters.shutdown(timeout_millis=within * 1000)),
        ]
        each = within / len(ends)
        done = [end.wait(each) for end in ends]
        # Whoever still tries again is woken and gives up.
        self._span_exporter.give_up()
        self._metric_exporter.give_up()
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
