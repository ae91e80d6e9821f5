"""The pool under anything that may happen to it, held against a model that knows every word said about it.

Never an account that is out, never another one while a conversation's own can serve, never a cooldown lost over a
restart, never two probes at once.
"""

import dataclasses
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from codemie_core.accounts.account import Account
from codemie_core.accounts.asking import Ask, Choice
from codemie_core.accounts.conversations import SAVED_EVERY
from codemie_core.accounts.health import LEASE
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.state import Cooldown, Home, PoolState, Usage
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.verdicts import Scope, Verdict
from support.pools import GUESS, HAIKU, NOTHING, OPUS, ORIGIN, Clock, named_account, overload, used, verified

MODELS = st.sampled_from([OPUS, HAIKU])
NAMES = st.sampled_from("abcde")
CONVERSATIONS = st.sampled_from(["", "one", "two", "three"])
STICKINESS = 18000.0


@dataclasses.dataclass
class Out:
    """What is known of one account, or of one model on it."""

    since: float
    until: float
    verified: bool
    over: bool = False


class PoolMachine(RuleBasedStateMachine):
    choices = Bundle("choices")

    @initialize(strategy=st.sampled_from(sorted(STRATEGIES)), accounts=st.integers(0, 3))
    def start(self, strategy: str, accounts: int) -> None:
        self.clock = Clock()
        self.strategy = strategy
        self.pool = self.made()
        self.accounts: dict[str, Account] = {}
        self.out: dict[tuple[str, str], Out] = {}
        self.homes: dict[str, tuple[str, float]] = {}
        self.probes: dict[str, tuple[int, float]] = {}
        self.database: dict[tuple[str, ...], Any] = {}
        self.generation = 0
        for name in "abc"[:accounts]:
            self.add(name, 0, 1, ())

    def made(self) -> Pool:
        return Pool(self.clock, self.strategy, STICKINESS)

    def listed(self) -> None:
        self.pool.set_accounts(self.accounts.values())

    # What the operator does.

    @rule(name=NAMES, priority=st.integers(0, 1), weight=st.integers(1, 3), deny=st.sampled_from([(), (HAIKU,)]))
    def add(self, name: str, priority: int, weight: int, deny: tuple[str, ...]) -> None:
        if any(account.name == name for account in self.accounts.values()):
            return
        self.generation += 1
        account = named_account(name, id=f"{name}{self.generation}", priority=priority, weight=weight, deny=deny)
        self.accounts[account.id] = account
        self.listed()

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if not self.accounts:
            return
        gone = data.draw(st.sampled_from(sorted(self.accounts)))
        del self.accounts[gone]
        self.out = {key: value for key, value in self.out.items() if key[0] != gone}
        self.probes.pop(gone, None)
        self.listed()

    @rule(data=st.data(), paused=st.sampled_from([None, "lunch"]))
    def pause_or_resume(self, data: st.DataObject, paused: str | None) -> None:
        if not self.accounts:
            return
        name = data.draw(st.sampled_from(sorted(self.accounts)))
        self.accounts[name] = dataclasses.replace(self.accounts[name], paused=paused)
        self.listed()

    @rule(strategy=st.sampled_from(sorted(STRATEGIES)))
    def another_strategy(self, strategy: str) -> None:
        self.strategy = strategy
        self.pool.configure(strategy=strategy)

    # What time and other processes do.

    @rule(seconds=st.sampled_from([0.001, 1.0, 9.0, 30.0, 61.0, 300.0, 2000.0, 20000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def saved(self) -> None:
        for change in self.pool.drain():
            self.store(change)

    def store(self, change: Cooldown | Usage | Home) -> None:
        """As the store does: of two words about one thing the newer one stays."""
        former = self.database.get(key_of(change))
        if former is None or age_of(change) >= age_of(former):
            self.database[key_of(change)] = change

    @rule()
    def restart(self) -> None:
        while changes := self.pool.drain(everything=True):
            for change in changes:
                self.store(change)
        kept = [change for change in self.database.values() if change.account_id in self.accounts]
        self.pool = self.made()
        self.listed()
        self.pool.restore(
            PoolState(
                [one for one in kept if isinstance(one, Cooldown)],
                [one for one in kept if isinstance(one, Usage)],
                [one for one in kept if isinstance(one, Home)],
            )
        )
        self.probes.clear()

    @rule(data=st.data(), seconds=st.sampled_from([5.0, 600.0]), model=st.sampled_from(["", OPUS]), sure=st.booleans())
    def others_say(self, data: st.DataObject, seconds: float, model: str, sure: bool) -> None:
        if not self.accounts:
            return
        name = data.draw(st.sampled_from(sorted(self.accounts)))
        self.clock.now += 0.001
        now = self.clock.now
        theirs = Cooldown(name, model, now + seconds, "theirs", sure, 1, now)
        self.store(theirs)
        self.pool.merge(PoolState([theirs]))
        known = self.out.get((name, model))
        if known is None or known.over or known.until <= theirs.until:
            self.out[name, model] = Out(now, theirs.until, sure)

    # What requests do.

    @rule(target=choices, conversation=CONVERSATIONS, model=MODELS, excluded=st.sets(NAMES, max_size=2))
    def choose(self, conversation: str, model: str, excluded: set[str]) -> Any:
        self.clock.now += 0.001
        tried = frozenset(account.id for account in self.accounts.values() if account.name in excluded)
        ask = Ask(ORIGIN, model, conversation, tried)
        assert type(self.pool.peek(ask)) is type(self.pool.peek(ask))
        found = self.pool.choose(ask)
        able = [one for one in self.accounts.values() if one.id not in tried and self.able(one, model)]
        if not isinstance(found, Choice):
            assert not able, f"{[one.name for one in able]} could serve, but: {found}"
            return multiple()
        assert found.account.id in {one.id for one in able}, f"{found.account.id} is out"
        self.sticks(conversation, model, tried, found)
        if found.probe:
            self.probes[found.account.id] = (found.serial, self.clock.now + LEASE)
        return (found, model)

    def able(self, account: Account, model: str) -> bool:
        if account.paused is not None or not account.allows(model):
            return False
        return not any(self.blocked(account.id, known) for known in ("", model))

    def blocked(self, account_id: str, model: str) -> bool:
        out = self.out.get((account_id, model))
        if out is None or out.over:
            return False
        if out.until > self.clock.now:
            return True
        return not out.verified and self.probes.get(account_id, (0, 0.0))[1] > self.clock.now

    def sticks(self, conversation: str, model: str, tried: frozenset[str], found: Choice) -> None:
        if not conversation or self.strategy == "global-session":
            self.homes.pop(conversation, None)
            return
        home, used_at = self.homes.get(conversation, ("", 0.0))
        account = self.accounts.get(home)
        fresh = self.clock.now - used_at < STICKINESS - SAVED_EVERY
        if account is not None and fresh and not account.allows(model):
            return
        if account is not None and fresh and self.able(account, model) and home not in tried:
            assert found.account.id == home, f"left {home} for {found.account.id}: {found.why}"
        if account is not None and fresh and (found.account.id != home) and not self.leaves(account, model):
            return
        self.homes[conversation] = (found.account.id, self.clock.now)

    def leaves(self, account: Account, model: str) -> bool:
        if account.paused is not None:
            return True
        outs = [self.out.get((account.id, known)) for known in ("", model)]
        return any(out is not None and not out.over and out.until > self.clock.now for out in outs)

    @rule(pair=consumes(choices), kind=st.sampled_from(["guess", "verified", "model", "overload", "nothing"]))
    def fail(self, pair: tuple[Choice, str], kind: str) -> None:
        choice, model = pair
        now = self.clock.now = self.clock.now + 0.001
        verdict = {
            "guess": GUESS,
            "verified": verified(now + 400),
            "model": verified(now + 500, Scope.MODEL),
            "overload": overload(now),
            "nothing": NOTHING,
        }[kind]
        self.pool.failed(choice.account.id, model, verdict, choice)
        self.heard(choice)
        if choice.account.id not in self.accounts or kind == "nothing":
            return
        key = (choice.account.id, model if kind == "model" else "")
        self.worsened(key, choice, verdict, now)

    def worsened(self, key: tuple[str, str], choice: Choice, verdict: Verdict, now: float) -> None:
        """How long a guess lasts is the pool's own affair: the model asks, and checks what may not be."""
        held = next(one for one in self.pool._healths[key[0]].cooldowns() if one.model == key[1])
        known = self.out.get(key)
        before = known.until if known is not None and not known.over else 0.0
        assert held.until > now, "a failure with a cooldown left none"
        if verdict.verified and verdict.until is not None:
            longest = max(before, verdict.until) if known is not None and known.verified else verdict.until
            assert held.until == longest, "the upstream's own time was not kept"
        else:
            assert held.until >= min(before, now + 86400), "a longer cooldown was cut short"
            assert held.until <= max(before, now + 1800.0)
        self.out[key] = Out(held.since, held.until, held.verified)

    @rule(pair=consumes(choices), share=st.floats(0, 1.2), reset=st.sampled_from([None, 50.0, 5000.0]))
    def succeed(self, pair: tuple[Choice, str], share: float, reset: float | None) -> None:
        choice, model = pair
        now = self.clock.now = self.clock.now + 0.001
        limits = used(("5h", share, None if reset is None else now + reset))
        self.pool.succeeded(choice.account.id, model, limits, choice)
        self.heard(choice)
        for known in ("", model):
            out = self.out.get((choice.account.id, known))
            if out is not None and choice.made > out.since and not out.over:
                self.out[choice.account.id, known] = Out(now, now, out.verified, over=True)

    @rule(pair=consumes(choices))
    def client_left(self, pair: tuple[Choice, str]) -> None:
        self.pool.released(pair[0])
        self.heard(pair[0])

    def heard(self, choice: Choice) -> None:
        serial, _ = self.probes.get(choice.account.id, (0, 0.0))
        if serial == choice.serial:
            self.probes.pop(choice.account.id, None)

    @invariant()
    def people_are_told_the_truth(self) -> None:
        for account in self.accounts.values():
            out = self.out.get((account.id, ""))
            limited = out is not None and not out.over and out.until > self.clock.now
            state = self.pool.status(account.id).state
            assert (state == "paused") == (account.paused is not None)
            if account.paused is None:
                assert (state in ("limited", "guessed")) == limited


def key_of(change: Cooldown | Usage | Home) -> tuple[str, ...]:
    match change:
        case Cooldown():
            return ("cooldown", change.account_id, change.model)
        case Usage():
            return ("usage", change.account_id, change.window)
        case Home():
            return ("home", change.key)


def age_of(change: Cooldown | Usage | Home) -> tuple[float, float]:
    match change:
        case Cooldown():
            return (change.since, 0.0)
        case Usage():
            return (change.seen, 0.0)
        case Home():
            return (change.since, change.used)


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
