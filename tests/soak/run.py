"""Does the proxy stay as it was? `./run.sh soak`, or `python -m soak.run` within tests/.

Many thousand requests, and turns over WebSockets beside them, through a real mitmdump with the bundle and a pool of a
hundred accounts, at an upstream that answers some with 429, 529, 503, 401, an error event, half a stream or not at all,
for clients of whom some leave, and others come only to connect. After every part all connections are closed, and what
the proxy then still holds is shown: memory, file descriptors, threads, tasks, open exchanges. Ends with 1 when any of
it has grown since the first fifth.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.pools import fill
from bench.targets import BUNDLE, ROOT, Proxy, dump, proxies, upstream_process
from soak import clients, sockets, state

REQUESTS, PART = 100_000, 5_000
TURNS = 0.1
"""Turns over WebSockets, and connections that are only opened, as shares of the requests."""
IDLE = 0.04
ACCOUNTS = 100
REST_SECONDS, MOST_REST = 1.2, 30.0
"""After a part: the proxy closes connections, saves, and tells how it is; the longer the busier the machine is."""
MEMORY = 0.10
"""Growth that is no growth, as a share; allocators keep some."""
SPARE = 6
"""File descriptors, threads or tasks that may be there by chance: a connection of the database, say."""

HELD = ("descriptors", "threads", "tasks", "exchanges")

TARGET = dump(
    "mitmdump -s codemie.py, 100 accounts",
    BUNDLE,
    Path(state.__file__),
    options=("codemie_upstream_attempts_backoff=5ms", "codemie_upstream_attempts_backoff_max=20ms"),
    furnish=partial(fill, accounts=ACCOUNTS, known=0, ranked=False),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the proxy holds when nobody asks it for anything. `memory` is resident MB."""

    requests: int
    """Those over HTTP; `turns` are those over WebSockets."""
    memory: float
    descriptors: int
    threads: int
    tasks: int
    exchanges: int
    rate: float
    """Requests per second in the part before."""
    turns: int = 0


def main() -> int:
    """0 when it stayed as it was."""
    teaching = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="./run.sh soak", description=teaching[0], epilog=teaching[2])
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"how many (default: {REQUESTS})")
    parser.add_argument("--part", type=int, default=PART, help=f"how many between two looks (default: {PART})")
    parser.add_argument("--turns", type=int, help="over WebSockets, in all (default: a tenth of the requests)")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "soak.json", help="where results go")
    arguments = parser.parse_args()
    if arguments.requests < 5 * arguments.part:
        parser.error("it takes five parts or more to tell growth: ask for more --requests or for a smaller --part")
    samples, heard = soak(arguments.requests, arguments.part, partial(print, flush=True), arguments.turns)
    problems = growth(samples)
    print("clients heard: " + ", ".join(f"{what} {count}" for what, count in sorted(heard.items())))
    last = samples[-1]
    print("\n".join(problems) or f"it stayed as it was, over {last.requests} requests and {last.turns} turns")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    found = {"samples": [asdict(sample) for sample in samples], "heard": heard, "problems": problems}
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if problems else 0


def soak(
    requests: int, part: int, progress: Callable[[str], None], turns: int | None = None
) -> tuple[list[Sample], Counter[str]]:
    """A sample after every part, and what the clients heard in all: of WebSockets, words that begin with "socket"."""
    samples: list[Sample] = []
    heard: Counter[str] = Counter()
    dice = random.Random(1)
    share = TURNS if turns is None else turns / requests
    with upstream_process("soak.upstream") as upstream, proxies([TARGET], upstream) as running:
        proxy = running[TARGET.name]
        proxy.resume()
        while (done := over_http(heard)) < requests:
            began = time.monotonic()
            some = min(part, requests - done)
            heard += asyncio.run(_part(proxy.port, some, round(some * share), dice))
            rate = some / (time.monotonic() - began)
            look_now = partial(look, proxy, over_http(heard), rate, heard.total() - over_http(heard))
            samples.append(sample := at_rest(look_now, samples))
            progress(
                f"{sample.requests:7} requests, {sample.turns} turns: {sample.memory:6.1f} MB, "
                f"{sample.descriptors} descriptors, {sample.threads} threads, {sample.tasks} tasks, "
                f"{sample.exchanges} open exchanges, {rate:.0f}/s"
            )
    return samples, heard


def over_http(heard: Counter[str]) -> int:
    """How many of these were requests, not turns of a WebSocket."""
    return sum(count for what, count in heard.items() if not what.startswith("socket"))


async def _part(port: int, requests: int, turns: int, dice: random.Random) -> Counter[str]:
    """All at the same time."""
    requested, said, _ = await asyncio.gather(
        clients.crowd(port, requests, dice),
        sockets.crowd(port, turns, dice),
        clients.passers_by(port, round(requests * IDLE), dice),
    )
    return requested + Counter({f"socket {what}": count for what, count in said.items()})


def growth(samples: Sequence[Sample], memory: float = MEMORY) -> list[str]:
    """What has grown since the first fifth, which warms it up: from the two fifths after it to the last.

    Of memory, so large a share is no growth.
    """
    fifth = max(1, len(samples) // 5)
    before, after = samples[fifth : 3 * fifth], samples[-fifth:]
    problems = []
    first, last = (statistics.median(sample.memory for sample in some) for some in (before, after))
    if last > first * (1 + memory):
        problems.append(f"memory has grown from {first:.1f} MB to {last:.1f} MB")
    for name in HELD:
        low, high = held(name, before), held(name, after)
        if high > low + SPARE:
            problems.append(f"{name} have grown from {low} to {high}")
    return problems


def at_rest(look_now: Callable[[], Sample], before: Sequence[Sample]) -> Sample:
    """What it holds when it has come to rest, or what it still holds when it never does."""
    give_up = time.monotonic() + MOST_REST
    while True:
        time.sleep(REST_SECONDS)
        sample = look_now()
        if not any(held(name, [sample]) > held(name, before) + SPARE for name in HELD if before):
            return sample
        if time.monotonic() > give_up:
            return sample


def held(name: str, samples: Sequence[Sample]) -> int:
    """The least of it that there was."""
    return min(int(getattr(sample, name)) for sample in samples)


def look(proxy: Proxy, requests: int, rate: float, turns: int = 0) -> Sample:
    """What it holds now; it loads `state.py`, too."""
    descriptors, threads = proxy.held()
    told = json.loads((proxy.home / state.FILE).read_text())
    return Sample(requests, proxy.memory(), descriptors, threads, told["tasks"], told["exchanges"], rate, turns)


if __name__ == "__main__":
    sys.exit(main())
