"""A pool whose accounts fail at random, each in a way of its own, at two scripted upstreams in turn.

What happens to a request is decided by the seed, the request's mark, the account and how often this account has been
asked for this request: never by the order in which requests happen to arrive.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support.stored import StoredHome

MARK = "x-mark"
LIMIT_HEADERS = [("anthropic-ratelimit-requests-limit", "50"), ("anthropic-ratelimit-requests-remaining", "0")]


@dataclass(frozen=True, slots=True)
class Fault:
    """How an account fails, and how often."""

    make: Callable[[], Step]
    share: float


FAULTS = {
    "limited": Fault(lambda: Step(status=429, headers=[("retry-after", "1")]), 0.4),
    "guessed": Fault(lambda: Step(status=429, headers=LIMIT_HEADERS), 0.2),
    "wordless": Fault(lambda: Step(status=429), 0.4),
    "overloaded": Fault(lambda: Step(status=529), 0.3),
    "rejected": Fault(lambda: Step(status=401), 1.0),
    "resetting": Fault(lambda: Step(cut=Cut.RESET), 0.4),
    "error-first": Fault(lambda: Step(error_event=True), 0.3),
    "error-amid": Fault(lambda: Step(error_event=True, error_at=6), 0.3),
    "slow": Fault(lambda: Step(interval=0.01), 0.5),
}
"""COPIES accounts of each of these names, like "limited-0"; two more are DOWN and SPENT."""

COPIES = 4
NAMES = tuple(f"{name}-{number}" for name in FAULTS for number in range(COPIES))
DOWN = "down"
"""Where nothing listens."""
SPENT = "spent"
"""Always limited, and the only one that serves DOOMED."""
DOOMED = "doomed"
"""A model."""


def key_of(account: str) -> str:
    """Its secret."""
    return f"planted-key-of-{account}-0123456789"


@dataclass(slots=True)
class TroubledPool:
    """`await`s nothing: it is only the upstreams' script. `met` counts the faults that were dealt out.

    Requests are for the first upstream; the accounts of the other one stand in for it.
    """

    upstreams: tuple[Upstream, Upstream]
    seed: int
    met: Counter[str] = field(default_factory=Counter)
    troubled: bool = True
    """Switch it off and everybody is well again."""
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def fill(self, home: StoredHome) -> None:
        """The accounts into the store, the faults into the upstreams' scripts."""
        serves = (f"http://127.0.0.1:{self.upstreams[0].port}",)
        about = {"provider": "anthropic-compatible", "serves": serves}
        for number, name in enumerate(NAMES):
            upstream = self.upstreams[number % 2]
            home.key(name, upstream.url, key_of(name), deny=(DOOMED,), **about)
            upstream.script_for(key_of(name), then=partial(self._step, name))
        home.key(DOWN, f"http://127.0.0.1:{closed_port()}", key_of(DOWN), deny=(DOOMED,), **about)
        home.key(SPENT, self.upstreams[1].url, key_of(SPENT), allow=(DOOMED,), **about)
        self.upstreams[1].script_for(key_of(SPENT), then=Step(status=429, headers=[("retry-after", "900")]))

    def at(self, upstream: Upstream) -> dict[str, str]:
        """The accounts of this upstream by their keys."""
        number = self.upstreams.index(upstream)
        return {key_of(name): name for name in (*NAMES[number::2], *((SPENT,) * number))}

    def _step(self, account: str, received: Received) -> Step:
        mark = received.header(MARK) or ""
        self._asked[account, mark] += 1
        dice = random.Random(f"{self.seed} {account} {mark} {self._asked[account, mark]}")
        kind = account.rpartition("-")[0]
        fault = FAULTS[kind]
        step = Step()
        if self.troubled and dice.random() < fault.share:
            step = fault.make()
            self.met[kind] += 1
        step.text = words(mark, account)
        return step


def words(mark: str, account: str) -> str:
    """What the model says to this request when this account is asked."""
    return " ".join((mark, "answered", "for", account, "that", "is", "all"))
