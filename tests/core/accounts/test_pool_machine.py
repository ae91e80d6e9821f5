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
FATES = st.sampled_from(["well", "well", "guess", "verified", "model", "overload", "nothing", "left"])
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

    @initialize(strategy=st.sampled_from(sorted(STRATEGIES)), accounts=st.integers(2, 3))
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

    @rule(action=st.sampled_from(["add", "remove", "pause", "pause", "resume", "resume"]), data=st.data())
    def operate(self, action: str, data: st.DataObject) -> None:
        if action == "add":
            weight, denied = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([(), (HAIKU,)]))
            self.add(data.draw(NAMES), data.draw(st.integers(0, 1)), weight, denied)
            return
        account = self.accounts[data.draw(st.sampled_from(sorted(self.accounts)))]
        if action == "remove" and len(self.accounts) > 1:
            del self.accounts[account.id]
            self.out = {key: value for key, value in self.out.items() if key[0] != account.id}
            self.probes.pop(account.id, None)
        elif action != "remove":
            paused = "lunch" if action == "pause" else None
            self.accounts[account.id] = dataclasses.replace(account, paused=paused)
        self.listed()

    def add(self, name: str, priority: int, weight: int, deny: tuple[str, ...]) -> None:
        if any(account.name == name for account in self.accounts.values()):
            return
        self.generation += 1
        account = named_account(name, id=f"{name}{self.generation}", priority=priority, weight=weight, deny=deny)
        self.accounts[account.id] = account
        self.listed()

    @rule(action=st.sampled_from(["strategy", "saved", "restart", "others", "others"]), data=st.data())
    def something_happens(self, action: str, data: st.DataObject) -> None:
        match action:
            case "strategy":
                self.another_strategy(data.draw(st.sampled_from(sorted(STRATEGIES))))
            case "saved":
                self.saved()
            case "restart":
                self.restart()
            case _:
                seconds, model = data.draw(st.sampled_from([5.0, 600.0])), data.draw(st.sampled_from(["", OPUS]))
                self.others_say(data, seconds, model, data.draw(st.booleans()))

    @rule(seconds=st.sampled_from([1.0, 9.0, 30.0, 61.0, 61.0, 130.0, 300.0, 2000.0, 20000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    def another_strategy(self, strategy: str) -> None:
        self.strategy = strategy
        self.pool.configure(strategy=strategy)

    def saved(self) -> None:
        for change in self.pool.drain():
            self.store(change)

    def store(self, change: Cooldown | Usage | Home) -> None:
        """As the store does: of two words about one thing the newer one stays."""
        former = self.database.get(key_of(change))
        if former is None or age_of(change) >= age_of(former):
            self.database[key_of(change)] = change

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

    def others_say(self, data: st.DataObject, seconds: float, model: str, sure: bool) -> None:
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

    @rule(target=choices, conversation=CONVERSATIONS, model=MODELS, excluded=st.sets(NAMES, max_size=1))
    def ask(self, conversation: str, model: str, excluded: set[str]) -> Any:
        found = self.choose(conversation, model, excluded)
        return multiple() if found is None else (found, model)

    @rule(model=MODELS, fate=FATES, seconds=st.sampled_from([0.0, 61.0, 130.0]))
    def go_on(self, model: str, fate: str, seconds: float) -> None:
        self.clock.now += seconds
        self.ask_and_hear("one", model, fate)

    @rule(conversation=CONVERSATIONS, model=MODELS, fate=FATES)
    def ask_and_hear(self, conversation: str, model: str, fate: str) -> None:
        found = self.choose(conversation, model, set())
        if found is not None:
            self.end(found, model, fate)

    @rule(pair=consumes(choices), fate=FATES)
    def hear(self, pair: tuple[Choice, str], fate: str) -> None:
        self.end(*pair, fate)

    def choose(self, conversation: str, model: str, excluded: set[str]) -> Choice | None:
        self.clock.now += 0.001
        tried = frozenset(account.id for account in self.accounts.values() if account.name in excluded)
        ask = Ask(ORIGIN, model, conversation, tried)
        assert type(self.pool.peek(ask)) is type(self.pool.peek(ask))
        found = self.pool.choose(ask)
        able = [one for one in self.accounts.values() if one.id not in tried and self.able(one, model)]
        if not isinstance(found, Choice):
            assert not able, f"{[one.name for one in able]} could serve, but: {found}"
            return None
        assert found.account.id in {one.id for one in able}, f"{found.account.id} is out"
        self.sticks(conversation, model, tried, found)
        assert found.probe == any(self.guessed(found.account.id, known) for known in ("", model))
        if found.probe:
            self.probes[found.account.id] = (found.serial, self.clock.now + LEASE)
        return found

    def able(self, account: Account, model: str) -> bool:
        if account.paused is not None or not account.allows(model):
            return False
        return not any(self.blocked(account.id, known) for known in ("", model))

    def guessed(self, account_id: str, model: str) -> bool:
        out = self.out.get((account_id, model))
        return out is not None and not out.over and not out.verified

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

    def end(self, choice: Choice, model: str, fate: str) -> None:
        now = self.clock.now = self.clock.now + 0.001
        if fate == "left":
            self.pool.released(choice)
            self.heard(choice)
            return
        if fate == "well":
            self.succeed(choice, model, now)
            return
        verdict = {
            "guess": GUESS,
            "verified": verified(now + 400),
            "model": verified(now + 500, Scope.MODEL),
            "overload": overload(now),
            "nothing": NOTHING,
        }[fate]
        self.pool.failed(choice.account.id, model, verdict, choice)
        self.heard(choice)
        if choice.account.id not in self.accounts or fate == "nothing":
            return
        key = (choice.account.id, model if fate == "model" else "")
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

    def succeed(self, choice: Choice, model: str, now: float) -> None:
        limits = used(("5h", now % 1, now + 50), ("7d", now % 7 / 7, now + 5000))
        self.pool.succeeded(choice.account.id, model, limits, choice)
        self.heard(choice)
        for known in ("", model):
            out = self.out.get((choice.account.id, known))
            if out is not None and choice.made > out.since and not out.over:
                self.out[choice.account.id, known] = Out(now, now, out.verified, over=True)

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


PoolMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestPool = PoolMachine.TestCase
