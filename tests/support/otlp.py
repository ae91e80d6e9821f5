"""An OpenTelemetry collector that tells what it got, or misbehaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """`with Collector() as collector`: `collector.url` goes into the option, `collector.spans` is what arrived."""

    def __init__(self, status: int = 200, hang: bool = False) -> None:
        self.spans: list[Span] = []
        self.resources: list[Mapping[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        """The newest of each name."""
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.status = status
        self._released = threading.Event()
        if not hang:
            self._released.set()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="collector")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The base of its addresses."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_for(self, predicate: Callable[[], bool], within: float = 30.0) -> None:
        """Fails when it does not hold in time."""
        deadline = time.monotonic() + within
        with self._changed:
            while not predicate():
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.spans)} spans and {sorted(self.metrics)} within {within} s"
                self._changed.wait(left)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """One request of an exporter's."""
        self._released.wait()
        with self._changed:
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self.bodies.append(body)
            if self.status == 200 and path == "/v1/traces":
                self._take_spans(ExportTraceServiceRequest.FromString(body))
            elif self.status == 200 and path == "/v1/metrics":
                self._take_metrics(ExportMetricsServiceRequest.FromString(body))
            self._changed.notify_all()
            return self.status if path in ("/v1/traces", "/v1/metrics") else 404

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resources.append(attributes_of(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name: metric for metric in scope.metrics}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.take(self.path, dict(self.headers), body)
                # An error that quotes what it was sent: nobody may log it.
                quoted = b"" if status == 200 else str(dict(self.headers)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(quoted)))
                self.end_headers()
                self.wfile.write(quoted)

            def log_message(self, *_: Any) -> None:
                """Not to the terminal."""

        return Handler


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    return _plain(pair.value)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
