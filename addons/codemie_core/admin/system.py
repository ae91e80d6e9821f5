"""What runs here: versions, the process, where it listens, what it takes."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field

from codemie_core import __version__
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire, iso
from codemie_core.exchange import BOOK, RUN_ID
from codemie_core.redact import redact_url
from codemie_core.running import RunningProxy, running_proxies

LIBRARIES = (
    *("mitmproxy", "pydantic", "SQLAlchemy", "fastapi", "uvicorn", "nicegui", "httpx", "cryptography"),
    *("genai-prices", "prometheus-client", "opentelemetry-sdk", "psycopg"),
)


class ProxyProcess(Wire):
    """A proxy of this CodeMie home."""

    run_id: str
    pid: int
    started_at: str | None
    addresses: list[str]
    mode: list[str]
    version: str
    admin_port: int | None
    this_one: bool


class SystemInfo(Wire):
    """This process, and those beside it."""

    version: str
    run_id: str
    pid: int
    started_at: str | None
    uptime_seconds: float
    python: str
    platform: str
    event_loop: str
    libraries: dict[str, str] = Field(description="Versions of those that are installed.")
    home: str
    config_file: str
    profile: str | None
    addresses: list[str]
    memory_bytes: int | None = Field(description="Resident.")
    cpu_seconds: float
    threads: int
    open_files: int | None
    open_exchanges: int
    live_watchers: int
    proxies: list[ProxyProcess] = Field(description="All that run under this home.")


async def system_info(plane: Plane) -> SystemInfo:
    """Without secrets."""
    core, loop = plane.core, asyncio.get_running_loop()
    since = core.running_since or plane.clock()
    found = await plane.in_thread(lambda: list(running_proxies(plane.places)))
    libraries = await plane.in_thread(_libraries)
    return SystemInfo(
        version=__version__,
        run_id=RUN_ID,
        pid=os.getpid(),
        started_at=iso(since * 1000),
        uptime_seconds=round(max(0.0, plane.clock() - since), 3),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        event_loop=f"{type(loop).__module__}.{type(loop).__qualname__}",
        libraries=libraries,
        home=str(plane.places.home),
        config_file=core.layers.file_name,
        profile=core.layers.profile.name or None,
        addresses=[f"{host}:{port}" for host, port in core.listening()],
        memory_bytes=memory(),
        cpu_seconds=round(sum(os.times()[:2]), 3),
        threads=threading.active_count(),
        open_files=_open_files(),
        open_exchanges=len(BOOK),
        live_watchers=plane.hub.subscribers,
        proxies=[_proxy(entry) for entry in found],
    )


def memory() -> int | None:
    """Resident bytes of this process; None where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    # The most it ever took, in bytes on macOS; Linux, which counts in KiB, has answered above.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if sys.platform == "darwin" else None


def _proxy(entry: RunningProxy) -> ProxyProcess:
    return ProxyProcess(
        run_id=entry.run_id,
        pid=entry.pid,
        started_at=iso(entry.started_at * 1000),
        addresses=list(entry.addresses),
        mode=[redact_url(mode) for mode in entry.mode],
        version=entry.version,
        admin_port=entry.admin_port,
        this_one=entry.run_id == RUN_ID,
    )


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
