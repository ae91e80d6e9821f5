"""What choosing an account costs: `python -m bench.choosing` within tests/.

1,000 accounts of which 200 are cooling down, 100,000 known conversations, and an answer with other utilization after
each choice. Prints microseconds per choice for each strategy, and the memory of the conversations.
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Callable

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.asking import Ask, Choice
from codemie_core.accounts.limits import Limits, Window
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.state import Home, PoolState
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.verdicts import Act, Scope, Verdict

ACCOUNTS = 1000
COOLING = 200
CONVERSATIONS = 100_000
ROUNDS = 20_000
ORIGIN = "https://api.anthropic.com:443"
MODELS = ("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")
NOW = 1_800_000_000.0


class Load:
    """A pool in the state of the figures; time passes by a millisecond with every choice."""

    def __init__(self, strategy: str, conversations: int = CONVERSATIONS) -> None:
        self.now = NOW
        self.dice = random.Random(7)
        self.pool = Pool(lambda: self.now, strategy, rng=self.dice.random)
        self.pool.set_accounts(
            Account(f"id-{n}", f"a{n}", "anthropic", Kind.API_KEY, "https://api.anthropic.com", priority=n % 3)
            for n in range(ACCOUNTS)
        )
        ids = [f"id-{n}" for n in range(ACCOUNTS)]
        homes = (
            Home(f"claude-code:conversation-{n:027}", ids[n % ACCOUNTS], NOW, NOW + n / 1000)
            for n in range(conversations)
        )
        self.pool.restore(PoolState(homes=tuple(homes)))
        for n in range(COOLING):
            until = NOW + 10 + self.dice.random() * 3600
            self.pool.failed(f"id-{n * 3}", "", Verdict(Act.NEXT, Scope.ACCOUNT, until, n % 2 == 0, "limited"))
            self.pool.failed(f"id-{n * 3 + 1}", MODELS[0], Verdict(Act.NEXT, Scope.MODEL, until, True, "credits"))

    def ask(self, conversation: str) -> Ask:
        """The next request: one of three models."""
        self.now += 0.001
        return Ask(ORIGIN, self.dice.choice(MODELS), conversation)

    def answer(self, choice: Choice) -> None:
        """Its utilization goes anywhere, also down."""
        window = Window("5h", utilization=self.dice.random(), resets_at=self.now + self.dice.random() * 600)
        self.pool.succeeded(choice.account.id, choice.model, Limits(windows=(window,)), choice)


def costs(load: Load, conversation: Callable[[int], str]) -> tuple[float, float]:
    """Microseconds: the mean choice, and the mean answer after it."""
    choosing = answering = 0.0
    for number in range(ROUNDS):
        ask = load.ask(conversation(number))
        began = time.perf_counter()
        choice = load.pool.choose(ask)
        chosen = time.perf_counter()
        assert isinstance(choice, Choice)
        choosing += chosen - began
        began = time.perf_counter()
        load.answer(choice)
        answering += time.perf_counter() - began
    return choosing / ROUNDS * 1e6, answering / ROUNDS * 1e6


def empty() -> float:
    """Microseconds to say of each account why it cannot serve, when none can."""
    load = Load("session", 0)
    for number in range(ACCOUNTS):
        load.pool.failed(f"id-{number}", "", Verdict(Act.NEXT, Scope.ACCOUNT, NOW + 9e5, True, "limited"))
    began = time.perf_counter()
    for _ in range(100):
        assert isinstance(load.pool.choose(load.ask("")), tuple)
    return (time.perf_counter() - began) / 100 * 1e6


def memory() -> float:
    """Megabytes of the conversations, their names included."""
    gc.collect()
    tracemalloc.start()
    without = Load("session", 0)
    base = tracemalloc.get_traced_memory()[0]
    filled = Load("session")
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - 2 * base
    tracemalloc.stop()
    del without, filled
    return used / 1e6


def main() -> None:
    """Print the figures."""
    print(f"{ACCOUNTS} accounts, {COOLING} cooling down, {CONVERSATIONS} conversations; microseconds")
    print("| strategy | its own account | new conversation | no conversation | an answer |")
    print("|---|---|---|---|---|")
    for strategy in STRATEGIES:
        load = Load(strategy)
        dice = random.Random(11)
        known = [f"claude-code:conversation-{n:027}" for n in range(CONVERSATIONS)]
        for number in range(0, CONVERSATIONS, 7):
            load.pool.choose(load.ask(known[number]))
        again = [dice.choice(known[::7]) for _ in range(ROUNDS)]
        kept, answered = costs(load, again.__getitem__)
        new = costs(load, "claude-code:another-{}".format)[0]
        none = costs(load, lambda _: "")[0]
        print(f"| {strategy} | {kept:.1f} | {new:.1f} | {none:.1f} | {answered:.1f} |")
    print(f"all accounts out: {empty():.0f} us for the {ACCOUNTS} reasons")
    print(f"{CONVERSATIONS} conversations: {memory():.1f} MB")


if __name__ == "__main__":
    main()
