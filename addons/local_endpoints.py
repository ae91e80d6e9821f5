"""Requests that never leave this machine: /health, and the telemetry paths that model APIs answer with an error.

Runs before anything is spent on a request and fails open. It acts in reverse mode and, in other modes, on requests
addressed to the proxy itself. Agents post usage events and ask for managed settings wherever their base URL points;
unanswered, some of them crash or log each failure.
"""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ReverseMode
from pydantic import Field

from codemie_core import __version__, loading
from codemie_core.access.browser_guard import is_ours
from codemie_core.addon import Addon, AddonSettings, State, note
from codemie_core.core_addon import CoreAddon, core_of
from codemie_core.exchange import BOOK, RUN_ID, exchange_of
from codemie_core.health_check import HEALTH_PATHS
from codemie_core.profile import GATEWAY_PATH
from codemie_core.redact import redact_text, redact_url
from codemie_core.scope import is_local, normal_host

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
TARGET_PATH_OPTION = "codemie_upstream_attempts_target_path"

JSON_HEADERS = {"content-type": "application/json"}


class LocalEndpoints(Addon, priority=5):
    """Answers in `requestheaders`: nobody connects to an upstream for a flow that has a response."""

    class Settings(AddonSettings):
        """The settings."""

        block_telemetry: bool = Field(
            True,
            description="Answer agents' usage events and managed-settings requests here instead of passing them on.",
        )

    settings: Settings

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._telemetry = telemetry_paths([])

    def load(self, loader: Loader) -> None:
        """Let an answer given here need no upstream, also where this addon is loaded alone."""
        # Under eager connections mitmproxy hangs up on the client when the upstream is down, before any hook runs.
        ctx.options.update(connection_strategy="lazy")

    def configure(self, updated: set[str]) -> None:
        """Agents may have the target's path in their base URL, then it stands before these paths too."""
        prefixes = {GATEWAY_PATH, core_of(self).layers.profile.base_path}
        if TARGET_PATH_OPTION in ctx.options:
            prefixes.add(getattr(ctx.options, TARGET_PATH_OPTION).rstrip("/"))
        self._telemetry = telemetry_paths(prefixes - {""})

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Answer what is ours to answer."""
        path = exchange_of(flow).path
        if path in HEALTH_PATHS and flow.request.method in ("GET", "HEAD"):
            if self._is_ours(flow):
                body = json.dumps(self._health(flow), indent=2).encode()
                respond(flow, body, {**JSON_HEADERS, "cache-control": "no-store"})
        elif self.settings.block_telemetry and (found := self._telemetry.fullmatch(path)) and self._is_ours(flow):
            respond(flow, b'{"success":true}' if found["events"] else b"{}", JSON_HEADERS)

    def _is_ours(self, flow: http.HTTPFlow) -> bool:
        if flow.response is not None or flow.error is not None:
            return False
        if isinstance(flow.client_conn.proxy_mode, ReverseMode):
            return True
        host, port = normal_host(flow.request.host), flow.request.port
        return any(
            port == own_port and (host in LOOPBACK_HOSTS or host == normal_host(own_host))
            for own_host, own_port in core_of(self).listening()
        )

    def _health(self, flow: http.HTTPFlow) -> dict[str, object]:
        core, now = core_of(self), self._clock()
        since = core.running_since or now
        addons = addon_states(core)
        troubled = any(addon["state"] in (State.FAILED, State.DEGRADED) for addon in addons)
        status = "degraded" if troubled else "ok"
        asked_host, entrance = exchange_of(flow).asked_host, flow.client_conn.sockname[0]
        by_name = not asked_host or is_ours(asked_host, entrance, ())
        if not (by_name and is_local(flow.client_conn.peername[0])):
            # Nobody asked it for a key yet, or whether it is a web page that gave its own name this address.
            return {"status": status, "version": __version__}
        return {
            # The first three as CodeMie's own proxy says them.
            "status": status,
            "port": flow.client_conn.sockname[1],
            "startedAt": datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": __version__,
            "uptime_seconds": round(max(0.0, now - since), 3),
            "run_id": RUN_ID,
            "mode": [redact_url(mode) for mode in ctx.options.mode],
            "addons": addons,
            "counters": core.tally.shown(len(BOOK)),
        }


def addon_states(core: CoreAddon) -> list[dict[str, object]]:
    """Each addon of the bundle: those at work in their order, then those that could not be imported."""
    loaded: list[dict[str, object]] = [
        {
            "name": addon.name,
            "version": addon.version,
            "priority": addon.priority,
            "fail": addon.fail,
            "state": addon.status.state,
            "error": addon.status.error,
            "mishaps": dict(addon.status.mishaps),
            "details": details_of(addon),
        }
        for addon in core.addons_in_order
    ]
    # Only an addon that fails open is ever left out of a proxy that runs.
    missing: list[dict[str, object]] = [
        {
            "name": left.name,
            "version": None,
            "priority": None,
            "fail": "open",
            "state": State.FAILED,
            "error": redact_text(left.error),
            "mishaps": {},
            "details": {},
        }
        for left in loading.left_out
    ]
    return loaded + missing


def details_of(addon: Addon) -> dict[str, object]:
    """What the addon says of itself; one that raises here is noted like any other mishap."""
    try:
        return dict(addon.health())
    except Exception as error:
        note(addon, "health", error)
        return {}


def telemetry_paths(prefixes: set[str] | list[str]) -> re.Pattern[str]:
    """Matches whole paths without their query; the group `events` is set for usage events."""
    before = "|".join(re.escape(prefix) for prefix in sorted(prefixes))
    return re.compile(
        rf"(?:{before})?(?:"
        # The second slash comes from a base URL that ends with one.
        r"(?P<events>//?api/event_logging/batch)"
        r"|/(?:v1/|api/claude/|api/v1/)?managed-settings(?:[/#].*)?)",
        re.IGNORECASE,
    )


def respond(flow: http.HTTPFlow, body: bytes, headers: dict[str, str]) -> None:
    """Answer with this JSON; HEAD gets its headers alone."""
    response = flow.response = http.Response.make(200, body, headers)
    if flow.request.method == "HEAD":
        response.raw_content = b""


addons = [LocalEndpoints()]
