"""A pool whose accounts fail at random, each in a way of its own, before one scripted upstream.

What happens to a request is decided by the seed, the request's mark, the account and how often this account has been
asked for this request: never by the order in which requests happen to arrive.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

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
"""An account of each of these names; "down" is one more, where nothing listens."""


def key_of(account: str) -> str:
    """Its secret."""
    return f"planted-key-of-{account}-0123456789"


@dataclass(slots=True)
class TroubledPool:
    """`await`s nothing: it is only the upstream's script. `met` counts the faults that were dealt out."""

    upstream: Upstream
    seed: int
    met: Counter[str] = field(default_factory=Counter)
    troubled: bool = True
    """Switch it off and everybody is well again."""
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def fill(self, home: StoredHome) -> None:
        """The accounts into the store, the faults into the upstream's script."""
        for name in FAULTS:
            home.key(name, self.upstream.url, key_of(name), provider="anthropic-compatible")
            self.upstream.script_for(key_of(name), then=lambda received, name=name: self._step(name, received))
        serves = (f"http://127.0.0.1:{self.upstream.port}",)
        nowhere = f"http://127.0.0.1:{closed_port()}"
        home.key("down", nowhere, key_of("down"), provider="anthropic-compatible", serves=serves)

    def _step(self, account: str, received: Received) -> Step:
        mark = received.header(MARK) or ""
        self._asked[account, mark] += 1
        dice = random.Random(f"{self.seed} {account} {mark} {self._asked[account, mark]}")
        fault = FAULTS[account]
        step = Step()
        if self.troubled and dice.random() < fault.share:
            step = fault.make()
            self.met[account] += 1
        step.text = words(mark, account)
        return step


def words(mark: str, account: str) -> str:
    """What the model says to this request when this account is asked."""
    return " ".join((mark, "answered", "for", account, "that", "is", "all"))
