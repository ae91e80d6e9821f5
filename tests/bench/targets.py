"""The proxies that are measured, each a process of its own, and the upstream they all speak to."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def _dump(name: str, *scripts: Path) -> Target:
    mode = ("--mode", "reverse:{upstream}", "--listen-port", "{port}", "--set", "confdir={confdir}")
    loads = tuple(argument for script in scripts for argument in ("-s", str(script)))
    return Target(name, (*_MITMDUMP, *_OPTIONS, *mode, *loads))


BUNDLE = ROOT / "addons" / "codemie.py"
BARE = _dump("bare streaming mitmdump", BENCH / "bare_stream.py")
INDEXED = _dump("bare + indexed dispatch", BENCH / "indexed_stream.py")
PLAIN = _dump("mitmdump -s codemie.py", BUNDLE)
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
    """A running target. Time and memory are those of its whole process tree."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self._process = process
        self._log = log
        self._tree = [psutil.Process(process.pid)]

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = [process.cpu_times() for process in self._tree]
        return sum(spent.user + spent.system for spent in times)

    def memory(self) -> float:
        """Resident MB now."""
        return float(sum(process.memory_info().rss for process in self._tree)) / 1e6

    def pause(self) -> None:
        for process in self._tree:
            process.suspend()

    def resume(self) -> None:
        for process in self._tree:
            process.resume()

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    # Looked up once: asking for children reads every process of the machine.
                    self._tree += self._tree[0].children(recursive=True)
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the proxy did not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        self.resume()
        self._process.terminate()
        _, alive = psutil.wait_procs(self._tree, timeout=10)
        for process in alive:
            process.kill()
        self._process.wait()


@contextmanager
def proxies(targets: list[Target], upstream: int) -> Iterator[dict[str, Proxy]]:
    """Every target started and paused, in a home of its own."""
    running: dict[str, Proxy] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, target in enumerate(targets):
                home = Path(folder) / str(number)
                home.mkdir()
                proxy = _start(target, upstream, home)
                running[target.name] = proxy
                proxy.wait_until_it_listens()
                proxy.pause()
            yield running
        finally:
            for proxy in running.values():
                proxy.stop()


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
