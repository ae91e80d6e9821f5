"""What Prometheus scrapes: the turns that telemetry counts, and how the proxy is at this moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import Unavailable
from codemie_core.exchange import BOOK

if TYPE_CHECKING:
    from codemie_core.telemetry.prometheus import Counters

ADDON = "telemetry"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(plane: Plane) -> bytes:
    """In the text format. Unavailable where nobody counts."""
    addon = plane.addon(ADDON)
    if addon is None or not addon.status.at_work:
        raise Unavailable("The addon telemetry is not at work: nobody counts. Take it out of codemie_disabled.")
    counters = cast("Counters | None", getattr(addon, "counters", None))
    if counters is None:
        fix = "set codemie_telemetry_prometheus=true, and install it: pip install 'codemie-proxy[telemetry]'"
        raise Unavailable(f"Turns are not counted for Prometheus: {fix}")
    return await plane.in_thread(counters.rendered) + moment(plane).encode()


def moment(plane: Plane) -> str:
    """Gauges of now."""
    pool, addons = plane.pool, plane.core.addons_in_order
    accounts = Counter(pool.status(account.id).state for account in pool.accounts) if pool is not None else Counter()
    states: dict[tuple[str, ...], float] = {(addon.name, str(addon.status.state)): 1 for addon in addons}
    since = plane.core.running_since
    lines = [
        *_gauge("codemie_exchanges_open", "Requests under way.", {(): len(BOOK)}),
        *_gauge("codemie_accounts", "Accounts of the pool.", {(s,): n for s, n in accounts.items()}, "state"),
        *_gauge("codemie_addons", "Addons, by their state.", states, "addon", "state"),
        *_gauge("codemie_live_watchers", "Clients of the live view.", {(): plane.hub.subscribers}),
        *_gauge("codemie_start_time_seconds", "When it began, since 1970.", {(): since or 0.0}),
    ]
    return "\n".join([*lines, ""])


def _gauge(name: str, text: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Iterable[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for key, value in sorted(values.items()):
        told = ",".join(f'{label}="{word}"' for label, word in zip(labels, key, strict=True))
        yield f"{name}{{{told}}} {value}" if told else f"{name} {value}"
