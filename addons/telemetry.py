"""Counts model turns for Prometheus, and reports them to an OpenTelemetry collector when that is switched on.

Numbers, names and ids leave, never a word of what was said. Fails open: a collector that is down delays nobody. Clients
may say which trace their request is a part of; then ours is a part of it too. Those headers tell a model's provider who
works on what, so they stay here unless they are wanted there.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.utils import asyncio_utils
from pydantic import Field

from codemie_core.addon import Addon, AddonSettings
from codemie_core.exchange import exchange_of
from codemie_core.telemetry.endpoint import Endpoint, endpoint_for, require_exporter
from codemie_core.telemetry.trace_context import Parents, parent_in, without_context
from codemie_core.usage.record import Record

if TYPE_CHECKING:
    from codemie_core.telemetry.prometheus import Counters
    from codemie_core.telemetry.spans import Reporter

logger = logging.getLogger(__name__)


class Telemetry(Addon, priority=70):
    """The libraries are imported when the proxy starts, in a thread; the first turns wait for them."""

    class Settings(AddonSettings):
        """How often batches leave, and which traces are sampled: by OpenTelemetry's own variables."""

        prometheus: bool = Field(True, description="Count turns for Prometheus.")
        otlp: bool = Field(False, description="Send spans and metrics to an OpenTelemetry collector.")
        endpoint: str = Field(
            "",
            description="The collector, like http://localhost:4318; empty means OTEL_EXPORTER_OTLP_ENDPOINT, or that.",
        )
        forward_trace_context: bool = Field(
            False, description="Leave traceparent, tracestate and baggage on requests to model APIs."
        )

    settings: Settings

    def __init__(self) -> None:
        self.counters: Counters | None = None
        """What Prometheus is told; None while it is off."""
        self._reporter: Reporter | None = None
        self._collector: tuple[Endpoint, Endpoint] | None = None
        self._parents = Parents()
        self._ready = asyncio.Event()
        self._changing = asyncio.Lock()

    def settled(self) -> None:
        """Check where to send to; what cannot be used is refused before anything changes."""
        own, collector = self.settings, None
        if own.otlp:
            require_exporter("codemie_telemetry_otlp")
            option = "codemie_telemetry_endpoint"
            collector = (
                endpoint_for("traces", own.endpoint, option, os.environ),
                endpoint_for("metrics", own.endpoint, option, os.environ),
            )
        changed, self._collector = collector != self._collector, collector
        if self.status.started and (changed or own.prometheus != (self.counters is not None)):
            asyncio_utils.create_task(self._set_up(), name="telemetry", keep_ref=True)

    async def start(self) -> None:
        """Load what is needed."""
        await self._set_up()

    async def stop(self) -> None:
        """Send what is left, for two seconds at most."""
        async with self._changing:
            await self._close()

    def health(self) -> Mapping[str, object]:
        """What is counted where."""
        reporter = self._reporter
        collector = "off" if reporter is None else "down" if reporter.down else "up"
        return {"prometheus": self.counters is not None, "collector": collector}

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Take the client's trace context off, and remember it."""
        fields = flow.request.headers.fields
        kept = without_context(fields)
        if kept is fields:
            return
        exchange = exchange_of(flow)
        if not exchange.scoped:
            return
        if self._collector is not None and (parent := parent_in(fields)) is not None:
            self._parents.put(exchange.request_id, parent)
        if not self.settings.forward_trace_context:
            flow.request.headers.fields = kept

    async def usage_recorded(self, record: Record) -> None:
        """One turn."""
        await self._ready.wait()
        parent = self._parents.take(record.id)
        if self.counters is not None:
            self.counters.count(record)
        if self._reporter is not None:
            self._reporter.report(record, parent)

    async def _set_up(self) -> None:
        async with self._changing:
            self._ready.clear()
            try:
                await self._close()
                if not self.settings.prometheus:
                    self.counters = None
                elif self.counters is None:
                    self.counters = await asyncio.to_thread(_counters)
                if self._collector is not None:
                    self._reporter = await asyncio.to_thread(_reporter, *self._collector)
            finally:
                self._ready.set()

    async def _close(self) -> None:
        reporter, self._reporter = self._reporter, None
        if reporter is not None and not await asyncio.to_thread(reporter.close):
            logger.warning("The collector did not take the last spans and metrics in time: they are lost")


def _counters() -> "Counters | None":
    try:
        from codemie_core.telemetry.prometheus import Counters
    except ImportError:
        logger.info("Turns are not counted for Prometheus: pip install 'codemie-proxy[telemetry]'")
        return None
    return Counters()


def _reporter(traces: Endpoint, metrics: Endpoint) -> "Reporter":
    from codemie_core.telemetry.spans import Reporter

    return Reporter(traces, metrics)


addons = [Telemetry()]
