"""The proxies that are measured, each a process of its own, and the upstream they all speak to."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60
BENCH = Path(__file__).parent
ROOT = BENCH.parents[1]

_MITMDUMP = (sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()")
_OPTIONS = ("--listen-host", "127.0.0.1", "--quiet")


@dataclass(frozen=True, slots=True)
class Target:
    """A way to start a proxy. `command` holds {port}, {upstream} and {confdir}."""

    name: str
    command: tuple[str, ...]


def _dump(name: str, *scripts: Path, options: tuple[str, ...] = ()) -> Target:
    mode = ("--mode", "reverse:{upstream}", "--listen-port", "{port}", "--set", "confdir={confdir}")
    loads = tuple(argument for script in scripts for argument in ("-s", str(script)))
    sets = tuple(argument for option in options for argument in ("--set", option))
    return Target(name, (*_MITMDUMP, *_OPTIONS, *mode, *sets, *loads))


BUNDLE = ROOT / "addons" / "codemie.py"
BARE = _dump("bare streaming mitmdump", BENCH / "bare_stream.py")
INDEXED = _dump("bare + indexed dispatch", BENCH / "indexed_stream.py")
PLAIN = _dump("mitmdump -s codemie.py", BUNDLE)
UNLOGGED = _dump("mitmdump -s codemie.py, no log", BUNDLE, options=("codemie_disabled=request_log",))
OBSERVED = _dump("mitmdump -s codemie.py, one observer", BUNDLE, BENCH / "one_observer.py")
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

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self._process = process
        self._seen = psutil.Process(process.pid)
        self._log = log

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Resident MB now."""
        return float(self._seen.memory_info().rss) / 1e6

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

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
    port, log = free_port(), home / "log"
    places = {"port": port, "upstream": f"http://127.0.0.1:{upstream}", "confdir": home / "confdir"}
    command = [part.format(**places) for part in target.command]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(home), stdout=output, stderr=subprocess.STDOUT)
    return Proxy(process, port, log)


def environment(home: Path) -> dict[str, str]:
    """Ours without proxies, keys and settings of the person who measures."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith("CODEMIE_")
    }
    paths = os.pathsep.join((str(ROOT / "addons"), str(ROOT / "tests")))
    return {**kept, "HOME": str(home), "CODEMIE_HOME": str(home / ".codemie"), "PYTHONPATH": paths}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def upstream_process() -> Iterator[int]:
    """The port of the bench's upstream."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            (sys.executable, "-m", "bench.upstream"), env=environment(Path(home)), stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()
