"""The register of running proxies: one small file per process under proxy/run/.

`codemie-proxy status` and other tools find proxies here. A file whose process is gone, or whose process id has been
given to someone else since, is stale and is removed by whoever notices.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codemie_core.places import Places

_DEAD = ("Z", "X")


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


def process_started(pid: int) -> str | None:
    """When the process with this id began, in the system's own words; None when there is none, or only its remains."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold spaces; state and start time are fields 3 and 22 of the line (proc(5)).
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # One that was killed, and whose parent has not asked how it ended, as in a container without an init.
        return None if fields[0] in _DEAD else fields[19]
    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    state, _, began = found.stdout.strip().partition(" ")
    return None if state[:1] in _DEAD else began.strip() or None


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
    """Take it out again."""
    (places.run / f"{run_id}.json").unlink(missing_ok=True)


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
            path.unlink(missing_ok=True)
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
