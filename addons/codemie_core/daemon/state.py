"""The daemon of one CodeMie home, as proxy/daemon.json tells it to whoever comes later.

Two processes: the supervisor, which writes the file, and the proxy, which is started anew when it fails. The file
outlives both when they were killed; what it says of a process counts only while that very process lives.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemie_core.daemon.order import Order
from codemie_core.daemon.probe import asked_at
from codemie_core.places import Places
from codemie_core.running import RunningProxy, process_started, running_proxies


@dataclass(frozen=True, slots=True)
class DaemonState:
    """Times are seconds since the epoch. No secret: an order that holds one is refused."""

    pid: int
    """The supervisor."""
    process_started: str
    started_at: float
    order: Order
    folder: str
    """Where it was started: relative paths among the arguments begin there."""
    port: int
    """Where the proxy listens, the same after each restart; 0 as long as a free one is looked for."""
    proxy_pid: int = 0
    proxy_process_started: str = ""
    restarts: int = 0
    restarted_at: float = 0.0
    trouble: str = ""
    """Why it was started anew last, or why that was given up."""
    gave_up: bool = False

    @property
    def watched(self) -> bool:
        """Does the supervisor live?"""
        return _lives(self.pid, self.process_started)

    @property
    def serves(self) -> bool:
        """Does the proxy's process live? Whether it answers is another question."""
        return _lives(self.proxy_pid, self.proxy_process_started)

    @property
    def lives(self) -> bool:
        """Does either?"""
        return self.watched or self.serves

    @property
    def listen_host(self) -> str:
        """The address it listens on."""
        return self.order.listen_host

    @property
    def url(self) -> str:
        """Where a client on this machine finds it."""
        host = asked_at(self.listen_host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Those of `codemie-proxy start`."""
        return tuple(self.order.arguments(self.port))

    def entry(self, places: Places) -> RunningProxy | None:
        """Its proxy in the register; None when it does not run, or is not up yet."""
        if not self.serves:
            return None
        return next((one for one in running_proxies(places) if one.pid == self.proxy_pid), None)


def state_file(places: Places) -> Path:
    """Where it is."""
    return places.proxy / "daemon.json"


def read_state(places: Places) -> DaemonState | None:
    """The daemon of this home, running or not; None when there is none, or nobody can read about it."""
    try:
        found: dict[str, Any] = json.loads(state_file(places).read_bytes())
        # A newer version may say more.
        known = {field.name for field in dataclasses.fields(DaemonState)}
        values = {name: value for name, value in found.items() if name in known}
        return DaemonState(**{**values, "order": Order.parse(found["order"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_state(places: Places, state: DaemonState) -> None:
    """Replace what is said of it."""
    places.write_private(state_file(places), json.dumps(dataclasses.asdict(state), indent=2).encode())


def remove_state(places: Places) -> None:
    """There is no daemon any more."""
    # On a disk that can only be read it stays, and tells of processes that are gone.
    with suppress(OSError):
        state_file(places).unlink()


def _lives(pid: int, started: str) -> bool:
    return pid > 0 and bool(started) and process_started(pid) == started
