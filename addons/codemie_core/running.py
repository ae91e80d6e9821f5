"""The register of running proxies: one small file per process under proxy/run/.

`codemie-proxy status` and other tools find proxies here. A file whose process is gone, or whose process id has been
given to someone else since, is stale and is removed by whoever notices.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codemie_core.places import Places

_DEAD = ("Z", "X")
LENT = threading.Event()
"""Does this very process end when the program that has started it does?"""


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """What a process says about itself. Times are seconds since the epoch."""

    run_id: str
    pid: int
    process_started: str
    """The operating system's own word for the process's start; tells a reused process id."""
    started_at: float
    addresses: tuple[str, ...]
    mode: tuple[str, ...]
    version: str
    admin_port: int | None = None
    lent: bool = False
    """It ends with the program that has started it: an agent's run, say."""
    answers_health: bool = True
    """Does it answer /health by itself? Else that is a request to its upstream."""


def process_started(pid: int) -> str | None:
    """When the process with this id began, in the system's own words; None when there is none, or only its remains.

    The words are those of one boot: after the next, another process may have the same id and the same age.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold spaces; state and start time are fields 3 and 22 of the line (proc(5)).
            fields = stat.read_bytes().rpartition(b")")[2].decode().split()
        except OSError:
            return None
        # One that was killed, and whose parent has not asked how it ended, as in a container without an init.
        return None if fields[0] in _DEAD else f"{fields[19]}{_boot()}"
    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    # The same words in each shell's language, and wherever a laptop travels.
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False, env=env)
    state, _, began = found.stdout.strip().partition(" ")
    return None if state[:1] in _DEAD else began.strip() or None


@cache
def _boot() -> str:
    try:
        return "@" + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # Not in each sandbox.


def this_process() -> tuple[int, str]:
    """Our own process id and start."""
    pid = os.getpid()
    return pid, process_started(pid) or ""


def write_entry(places: Places, entry: RunningProxy) -> Path:
    """Enter a proxy into the register."""
    path = places.run / f"{entry.run_id}.json"
    places.ensure_private(places.run)
    places.write_private(path, json.dumps(dataclasses.asdict(entry), indent=2).encode())
    return path


def remove_entry(places: Places, run_id: str) -> None:
    """Take it out again. Where nothing can be written, it never came in."""
    with suppress(OSError):
        (places.run / f"{run_id}.json").unlink()


def running_proxies(places: Places) -> Iterator[RunningProxy]:
    """The proxies that run now, the oldest first. Stale entries are removed, unreadable ones passed over."""
    entries = []
    for path in places.run.glob("*.json") if places.run.is_dir() else ():
        entry = _read(path)
        if entry is None:
            continue
        if process_started(entry.pid) == entry.process_started:
            entries.append(entry)
        else:
            # A disk that can only be read keeps it, and it counts for nothing.
            with suppress(OSError):
                path.unlink()
    yield from sorted(entries, key=lambda entry: entry.started_at)


def _read(path: Path) -> RunningProxy | None:
    known = {field.name for field in dataclasses.fields(RunningProxy)}
    try:
        found = json.loads(path.read_bytes())
        values = {name: value for name, value in found.items() if name in known}
        values["addresses"], values["mode"] = tuple(values["addresses"]), tuple(values["mode"])
        return RunningProxy(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
