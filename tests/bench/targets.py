"""The proxies that are measured, each a process of its own, and the upstream they all speak to."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from bench.pools import fill
from bench.wire import CONVERSATIONS
from codemie_core.demo.absent import closed_port

START_SECONDS = 60
READY_SECONDS = 1.0
BENCH = Path(__file__).parent
ROOT = BENCH.parents[1]

_MITMDUMP = (sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()")
_OPTIONS = ("--listen-host", "127.0.0.1", "--quiet")


type Furnish = Callable[[Path, Mapping[str, str], str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A way to start a proxy. `command` holds {port}, {upstream} and {confdir}."""

    name: str
    command: tuple[str, ...]
    furnish: Furnish | None = None
    """Called before it starts with its home, its environment and the upstream's URL."""
    beside: str = ""
    """A module that runs next to it while it is measured: given the port, it prints a line once it is ready."""


def dump(
    name: str, *scripts: Path, options: tuple[str, ...] = (), furnish: Furnish | None = None, beside: str = ""
) -> Target:
    """mitmdump with these scripts before the upstream."""
    mode = ("--mode", "reverse:{upstream}", "--listen-port", "{port}", "--set", "confdir={confdir}")
    loads = tuple(argument for script in scripts for argument in ("-s", str(script)))
    sets = tuple(argument for option in options for argument in ("--set", option))
    return Target(name, (*_MITMDUMP, *_OPTIONS, *mode, *sets, *loads), furnish, beside)


BUNDLE = ROOT / "addons" / "codemie.py"
BARE = dump("bare streaming mitmdump", BENCH / "bare_stream.py")
INDEXED = dump("bare + indexed dispatch", BENCH / "indexed_stream.py")
PLAIN = dump("mitmdump -s codemie.py", BUNDLE)
UNLOGGED = dump("mitmdump -s codemie.py, no log", BUNDLE, options=("codemie_disabled=request_log",))
UNMETERED = dump(
    "mitmdump -s codemie.py, not metered",
    BUNDLE,
    options=tuple(f"codemie_disabled={name}" for name in ("usage_metering", "telemetry", "metrics_sync")),
)
UNADMINISTERED = dump("mitmdump -s codemie.py, no admin API", BUNDLE, options=("codemie_disabled=admin_server",))
WATCHED = dump("mitmdump -s codemie.py, live view open", BUNDLE, beside="bench.watcher")
OBSERVED = dump("mitmdump -s codemie.py, one observer", BUNDLE, BENCH / "one_observer.py")
SMALL_POOL = dump("mitmdump -s codemie.py, 2 accounts", BUNDLE, furnish=partial(fill, accounts=2, known=0))
LARGE_POOL = dump(
    "mitmdump -s codemie.py, 1,000 accounts, 100,000 conversations",
    BUNDLE,
    furnish=partial(fill, accounts=1_000, known=CONVERSATIONS),
)
LAUNCHER = Target(
    "codemie-proxy start",
    (
        sys.executable,
        "-c",
        "from codemie_core.cli.app import main; main()",
        *("start", "{upstream}", "--", "--listen-port", "{port}", "--set", "confdir={confdir}", "--quiet"),
    ),
)


class Proxy:
    """A running target; time and memory are those of its one process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, home: Path, beside: str) -> None:
        self.port, self.home, self._beside = port, home, beside
        self._process = process
        self._seen = psutil.Process(process.pid)
        self._log = home / "log"

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Resident MB now."""
        return float(self._seen.memory_info().rss) / 1e6

    def held(self) -> tuple[int, int]:
        """Open file descriptors and threads."""
        return self._seen.num_fds(), self._seen.num_threads()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """With what runs next to it."""
        if not self._beside:
            yield
            return
        command, env = (sys.executable, "-m", self._beside, str(self.port)), environment(self.home)
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"{self._beside} ended before it was ready")
            # What it asked for first is not what is measured.
            time.sleep(READY_SECONDS)
            yield
            process.communicate()

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the proxy did not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def proxies(targets: list[Target], upstream: int) -> Iterator[dict[str, Proxy]]:
    """Every target started and paused, in a home of its own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running: dict[str, Proxy] = {}
        for number, target in enumerate(targets):
            home = Path(folder) / str(number)
            home.mkdir()
            proxy = running[target.name] = _start(target, upstream, home)
            stack.callback(proxy.stop)
            proxy.wait_until_it_listens()
            proxy.pause()
        yield running


def _start(target: Target, upstream: int, home: Path) -> Proxy:
    port, url = closed_port(), f"http://127.0.0.1:{upstream}"
    places = {"port": port, "upstream": url, "confdir": home / "confdir"}
    command = [part.format(**places) for part in target.command]
    if target.furnish:
        target.furnish(home / ".codemie", environment(home), url)
    with (home / "log").open("wb") as output:
        process = subprocess.Popen(command, env=environment(home), stdout=output, stderr=subprocess.STDOUT)
    return Proxy(process, port, home, target.beside)


def environment(home: Path) -> dict[str, str]:
    """Ours without proxies, keys and settings of the person who measures."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith("CODEMIE_")
    }
    paths = os.pathsep.join((str(ROOT / "addons"), str(ROOT / "tests")))
    # Whoever measures has a keyring that is none of our business.
    kept["CODEMIE_KEYRING"] = "0"
    return {**kept, "HOME": str(home), "CODEMIE_HOME": str(home / ".codemie"), "PYTHONPATH": paths}


@contextmanager
def upstream_process(module: str = "bench.upstream") -> Iterator[int]:
    """The port of the bench's upstream, or of another one that prints it."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen((sys.executable, "-m", module), env=environment(Path(home)), stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()
