"""The hook by which a metered turn is told to whoever counts it: history, telemetry, metrics."""

from dataclasses import dataclass

from mitmproxy import hooks

from codemie_core.usage.record import Record


@dataclass
class UsageRecordedHook(hooks.Hook):
    """A turn has ended and is metered. Fires once per turn, also for failed ones; async handlers are awaited."""

    name = "usage_recorded"
    record: Record
