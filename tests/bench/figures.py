"""Each figure: what is run, what is taken from it, and the promise it is held against.

A ratio is the median over the rounds of target / what it is held against, a bare streaming mitmdump unless the promise
says otherwise, within the same round.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.targets import (
    BARE,
    BENCH,
    BUNDLE,
    INDEXED,
    LARGE_POOL,
    LAUNCHER,
    OBSERVED,
    PLAIN,
    ROOT,
    SMALL_POOL,
    UNADMINISTERED,
    UNLOGGED,
    UNMETERED,
    WATCHED,
    Proxy,
    Target,
    environment,
    proxies,
    upstream_process,
)

LOAD_SECONDS = 300
SETTLE_SECONDS = 0.2
SAMPLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the table: `measure` of `target`, at most `limit`; without a limit it is for information."""

    text: str
    target: Target
    measure: str
    limit: float | None = None
    absolute: bool = False
    unit: str = "x"
    against: Target = BARE
    beyond: Target | None = None
    """Held against this one by difference instead of by ratio."""

    @property
    def other(self) -> Target:
        """What it is held against."""
        return self.beyond or self.against


@dataclass(frozen=True, slots=True)
class Figure:
    """A load, the targets that get it in every round, and what is promised."""

    load: tuple[str, ...]
    warm_up: tuple[str, ...]
    promises: tuple[Promise, ...]
    repeat: int = 1
    """Rounds for each one asked for: the smaller the promise, the more it takes to tell it from noise."""

    def targets(self) -> list[Target]:
        """Those of the promises and what they are held against, each once."""
        pairs = ((promise.other, promise.target) for promise in self.promises)
        return list(dict.fromkeys(target for pair in pairs for target in pair))


@dataclass(frozen=True, slots=True)
class Result:
    """A promise with what was found. `values` has one entry per round."""

    promise: str
    target: str
    value: float
    unit: str
    limit: float | None
    values: list[float] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return "-"
        return "kept" if self.value <= self.limit else "MISSED"


FIGURES: dict[str, Figure] = {
    "dispatch": Figure(
        load=("small", "2000", "16"),
        warm_up=("small", "320", "16"),
        promises=(Promise("CPU per small request, dispatch seam alone", INDEXED, "cpu"),),
    ),
    "small": Figure(
        load=("small", "2000", "16"),
        warm_up=("small", "320", "16"),
        promises=(
            Promise("CPU per small request", PLAIN, "cpu", 0.85),
            Promise("CPU per small request", LAUNCHER, "cpu", 0.70),
            Promise("CPU per small request", BARE, "cpu", absolute=True, unit="ms"),
            Promise("CPU per small request", PLAIN, "cpu", absolute=True, unit="ms"),
            Promise("CPU per small request", LAUNCHER, "cpu", absolute=True, unit="ms"),
        ),
    ),
    "sse": Figure(
        load=("sse", "50", "100", "20"),
        warm_up=("sse", "10", "20", "20"),
        promises=(
            Promise("CPU per SSE event, nobody observing", PLAIN, "cpu", 1.05),
            Promise("CPU per SSE event, one observer", OBSERVED, "cpu", 1.15),
            Promise("CPU per SSE event", LAUNCHER, "cpu"),
            Promise("CPU per SSE event", BARE, "cpu", absolute=True, unit="ms"),
            Promise("time to first event", PLAIN, "first_p50", 1.1),
            Promise("time to first event, upstream's 20 ms not counted", PLAIN, "first_added_p50"),
            Promise("time to first event", LAUNCHER, "first_p50"),
            Promise("event delay p50, 50 streams", PLAIN, "p50", 1.1),
            Promise("event delay p50, 50 streams", LAUNCHER, "p50"),
            Promise("event delay p50, 50 streams", BARE, "p50", absolute=True, unit="ms"),
            Promise("event delay p99, 50 streams", PLAIN, "p99", 1.5),
            Promise("event delay p99, 50 streams", LAUNCHER, "p99"),
            Promise("event delay p99, 50 streams", BARE, "p99", absolute=True, unit="ms"),
        ),
    ),
    "log-small": Figure(
        load=("small", "2000", "16"),
        warm_up=("small", "320", "16"),
        promises=(Promise("CPU per small request, log on against log off", PLAIN, "cpu", 1.08, against=UNLOGGED),),
        repeat=3,
    ),
    "log-sse": Figure(
        load=("sse", "100", "100", "20"),
        warm_up=("sse", "10", "20", "20"),
        promises=(
            Promise("CPU per SSE event, log on against log off", PLAIN, "cpu", 1.03, against=UNLOGGED),
            Promise("event delay p99, log on against log off", PLAIN, "p99", against=UNLOGGED),
        ),
        repeat=3,
    ),
    "metering-small": Figure(
        load=("small", "2000", "16"),
        warm_up=("small", "320", "16"),
        promises=(
            Promise("CPU per small request, metered against not", PLAIN, "cpu", 1.15, against=UNMETERED),
            Promise("CPU per small request", UNMETERED, "cpu", absolute=True, unit="ms", against=UNMETERED),
        ),
        repeat=3,
    ),
    "metering-sse": Figure(
        load=("sse", "100", "100", "20"),
        warm_up=("sse", "10", "20", "20"),
        promises=(
            Promise("CPU per SSE event, metered against not", PLAIN, "cpu", 1.10, against=UNMETERED),
            Promise("event delay p99, metered against not", PLAIN, "p99", against=UNMETERED),
        ),
        repeat=3,
    ),
    "admin": Figure(
        load=("sse", "50", "100", "20"),
        warm_up=("sse", "50", "20", "20"),
        promises=(
            Promise("event delay p99, 50 streams, live view open against not", WATCHED, "p99", 1.2, against=PLAIN),
            Promise("CPU per SSE event, live view open against not", WATCHED, "cpu", against=PLAIN),
            Promise("event delay p99, admin API at rest against off", PLAIN, "p99", against=UNADMINISTERED),
            Promise("CPU per SSE event, admin API at rest against off", PLAIN, "cpu", against=UNADMINISTERED),
            Promise("memory, live view open, beyond off", WATCHED, "memory", 80, unit="MB", beyond=UNADMINISTERED),
            Promise("memory, admin API at rest, beyond off", PLAIN, "memory", 5, unit="MB", beyond=UNADMINISTERED),
        ),
        repeat=3,
    ),
    "large-body": Figure(
        load=("large", "60", "1024"),
        warm_up=("large", "10", "1024"),
        promises=(
            Promise("CPU per request with a body of 1 MB", PLAIN, "cpu", 2.0),
            Promise("time of a request with a body of 1 MB", PLAIN, "p50"),
            Promise("CPU per request with a body of 1 MB", PLAIN, "cpu", absolute=True, unit="ms"),
        ),
    ),
    "pool": Figure(
        load=("talk", "2000", "16", "25"),
        # Accounts are taken apart at their first use: all of them have been in use by then.
        warm_up=("talk", "4000", "16", "1"),
        promises=(
            Promise("CPU per request, pool against none", LARGE_POOL, "cpu", 1.25, against=PLAIN),
            Promise("CPU per request, pool against none", SMALL_POOL, "cpu", 1.25, against=PLAIN),
            Promise("CPU per request", PLAIN, "cpu", absolute=True, unit="ms", against=PLAIN),
            Promise("CPU per request", LARGE_POOL, "cpu", absolute=True, unit="ms", against=PLAIN),
        ),
        repeat=3,
    ),
    "pool-alone": Figure(
        load=("talk", "2000", "16", "0"),
        warm_up=("talk", "4000", "16", "1"),
        promises=(
            Promise("CPU per request without a conversation, pool against none", LARGE_POOL, "cpu", against=PLAIN),
        ),
        repeat=3,
    ),
    "failover": Figure(
        load=("moved", "400"),
        warm_up=("moved", "40"),
        promises=(
            Promise(
                "failover, the failed attempt included",
                SMALL_POOL,
                "beyond",
                5,
                absolute=True,
                unit="ms",
                against=SMALL_POOL,
            ),
            Promise(
                "failover, the failed attempt included",
                LARGE_POOL,
                "beyond",
                5,
                absolute=True,
                unit="ms",
                against=SMALL_POOL,
            ),
            Promise(
                "the same request without a failover", SMALL_POOL, "plain", absolute=True, unit="ms", against=SMALL_POOL
            ),
        ),
        repeat=3,
    ),
    "bulk": Figure(
        load=("bulk", "100"),
        warm_up=("bulk", "4"),
        promises=(
            Promise("peak memory growth, 100 MB stream", PLAIN, "growth", 10, absolute=True, unit="MB"),
            Promise("peak memory growth, 100 MB stream", OBSERVED, "growth", 10, absolute=True, unit="MB"),
            Promise("peak memory growth, 100 MB stream", BARE, "growth", absolute=True, unit="MB"),
            Promise("CPU per MB", PLAIN, "cpu"),
            Promise("CPU per MB, one observer", OBSERVED, "cpu"),
        ),
    ),
}


def run(figure: Figure, rounds: int, progress: Callable[[str], None]) -> list[Result]:
    """Measure every target in every round, in rotating order, the others stopped meanwhile."""
    taken: dict[str, list[dict[str, float]]] = {target.name: [] for target in figure.targets()}
    names = list(taken)
    with upstream_process() as upstream, proxies(figure.targets(), upstream) as running:
        for name in names:
            measure(running[name], figure.warm_up)
        for number in range(rounds * figure.repeat):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                found = measure(running[name], figure.load)
                taken[name].append(found)
                shown = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
                progress(f"round {number + 1}: {name}: {shown}")
    return [judge(promise, taken) for promise in figure.promises]


def measure(proxy: Proxy, load: tuple[str, ...]) -> dict[str, float]:
    """One run of the load generator. `cpu` is milliseconds per unit, `growth` MB above the start."""
    proxy.resume()
    try:
        with proxy.attended():
            return _taken(proxy, *load)
    finally:
        proxy.pause()


def _taken(proxy: Proxy, kind: str, *numbers: str) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    cpu, memory = proxy.cpu(), proxy.memory()
    with Peak(proxy) as peak, tempfile.TemporaryDirectory() as home:
        command = (sys.executable, "-m", "bench.load", kind, str(proxy.port), *numbers)
        finished = subprocess.run(
            command, env=environment(Path(home)), capture_output=True, text=True, timeout=LOAD_SECONDS
        )
    if finished.returncode:
        raise RuntimeError(f"the load generator failed:\n{finished.stderr}")
    # What the proxy does a moment later, in a thread, belongs to it.
    time.sleep(SETTLE_SECONDS)
    found: dict[str, float] = json.loads(finished.stdout)
    found["cpu"] = (proxy.cpu() - cpu) * 1000 / found["units"]
    found["growth"] = peak.megabytes - memory
    found["memory"] = peak.megabytes
    return found


class Peak:
    """The highest resident memory seen while inside."""

    def __init__(self, proxy: Proxy) -> None:
        self.megabytes = 0.0
        self._proxy = proxy
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.megabytes = max(self.megabytes, self._proxy.memory())


def judge(promise: Promise, taken: dict[str, list[dict[str, float]]]) -> Result:
    """The median over the rounds, of values, or of ratios or differences within a round."""
    own = [found[promise.measure] for found in taken[promise.target.name]]
    if not promise.absolute:
        others = [found[promise.measure] for found in taken[promise.other.name]]
        pairs = zip(own, others, strict=True)
        own = [value - other if promise.beyond else value / other for value, other in pairs]
    return Result(promise.text, promise.target.name, statistics.median(own), promise.unit, promise.limit, own)


def import_time(rounds: int) -> Result:
    """Seconds to import the bundle, in a Python that already holds all of mitmdump."""
    code = (
        "import time, mitmproxy.tools.main, mitmproxy.tools.dump; began = time.perf_counter(); import codemie; "
        "print(time.perf_counter() - began)"
    )
    values = [float(output) for output, _ in _timed((sys.executable, "-c", code), rounds)]
    return Result("import of the bundle", BUNDLE.name, statistics.median(values), "s", 0.5, values)


def second_start(rounds: int) -> Result:
    """Seconds that `./run.sh` adds to the command it hands over to, with its environment in place."""
    venv = Path(sys.prefix)
    if not (venv / ".codemie-made").exists():
        raise SystemExit("second-start is measured with the environment that run.sh made: ./run.sh bench")
    through = [seconds for _, seconds in _timed((str(ROOT / "run.sh"), "version"), rounds, CODEMIE_VENV=sys.prefix)]
    alone = [seconds for _, seconds in _timed((str(venv / "bin" / "codemie-proxy"), "version"), rounds)]
    values = [one - other for one, other in zip(through, alone, strict=True)]
    return Result("second start, added by run.sh", "run.sh version", statistics.median(values), "s", 0.5, values)


def _timed(command: tuple[str, ...], rounds: int, **variables: str) -> Iterable[tuple[str, float]]:
    with tempfile.TemporaryDirectory() as home:
        for number in range(rounds + 1):
            environ = {**environment(Path(home)), **variables}
            began = time.perf_counter()
            output = subprocess.run(command, env=environ, cwd=BENCH, check=True, capture_output=True, text=True).stdout
            if number:
                # The first run compiles and fills caches.
                yield output, time.perf_counter() - began


PLAIN_FIGURES: dict[str, Callable[[int], Result]] = {"import": import_time, "second-start": second_start}
