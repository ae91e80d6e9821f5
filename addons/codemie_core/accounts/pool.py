"""The pool: which account serves a request, and what becomes of an account after its answer.

Pure and synchronous: no I/O, no waiting, the clock and the dice come from outside. What has to outlive the process is
handed out by `drain` and comes back by `restore`, or from other processes by `merge`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from codemie_core.accounts import reasons
from codemie_core.accounts.account import Account
from codemie_core.accounts.asking import Ask, Choice
from codemie_core.accounts.chooser import Chooser
from codemie_core.accounts.conversations import Conversations
from codemie_core.accounts.cooldowns import after_failure, after_success, combined
from codemie_core.accounts.empty import Unusable
from codemie_core.accounts.health import Health
from codemie_core.accounts.limits import Limits
from codemie_core.accounts.member import Member
from codemie_core.accounts.state import Change, Cooldown, PoolState, Status, Usage
from codemie_core.accounts.strategies import SESSION_KEY, strategy_named
from codemie_core.accounts.substitutes import parse_substitutes
from codemie_core.accounts.verdicts import Act, Scope, Verdict

__all__ = ["Ask", "Choice", "Pool"]

MOST_CHANGES = 1000
"""What `drain` hands out at once: it runs on the event loop."""
USAGE_SAVED_EVERY = 30.0


class Pool:
    """The accounts of one proxy. Times are seconds since the epoch."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        strategy: str = "session",
        stickiness: float = 18000.0,
        max_conversations: int = 100_000,
        fallback_models: Sequence[str] = (),
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._strategy = strategy_named(strategy)
        self._chooser = Chooser(self._strategy, Conversations(stickiness, max_conversations), rng)
        self._chooser.substitutes = parse_substitutes(fallback_models)
        self._members: dict[str, Member] = {}
        self._healths: dict[str, Health] = {}
        self._origins: frozenset[str] = frozenset()
        self._unsaved_cooldowns: dict[tuple[str, str], Cooldown] = {}
        self._unsaved_usage: dict[str, None] = {}

    def configure(
        self,
        strategy: str | None = None,
        stickiness: float | None = None,
        max_conversations: int | None = None,
        fallback_models: Sequence[str] | None = None,
    ) -> None:
        """Change settings while it runs; conversations stay where they are. SettingsError changes nothing."""
        chosen = self._strategy if strategy is None else strategy_named(strategy)
        if fallback_models is not None:
            self._chooser.substitutes = parse_substitutes(fallback_models)
        conversations = self._chooser.conversations
        if stickiness is not None:
            conversations.stickiness = stickiness
        if max_conversations is not None:
            conversations.most = max_conversations
            conversations.tidy(self._clock())
        if chosen is not self._strategy:
            self._strategy = chosen
            self._rank_anew()

    @property
    def strategy(self) -> str:
        """The name of the strategy in force."""
        return self._strategy.name

    @property
    def accounts(self) -> tuple[Account, ...]:
        """As the operator has them."""
        return tuple(member.account for member in self._members.values())

    def set_accounts(self, accounts: Iterable[Account]) -> None:
        """These are all accounts now. What is known of those that stay is kept."""
        listed = tuple(accounts)
        if listed == self.accounts:
            return
        former, self._members = self._members, {}
        for order, account in enumerate(listed):
            health = self._health(account.id)
            self._members[account.id] = Member(account, order, health)
            before = former.get(account.id)
            if before is not None and before.account.needs_login and not account.needs_login:
                self._forgive(health)
        for gone in former.keys() - self._members.keys():
            self._forget(gone)
        self._origins = frozenset(origin for member in self._members.values() for origin in member.origins)
        self._rank_anew()

    def homes(self, origin: str) -> bool:
        """Does any account serve requests for this origin?"""
        return origin in self._origins

    def choose(self, ask: Ask) -> Choice | tuple[Unusable, ...]:
        """An account for this request, or why there is none."""
        return self._chooser.choose(ask, self._clock(), take=True)

    def peek(self, ask: Ask) -> Choice | tuple[Unusable, ...]:
        """What `choose` would say, without any effect."""
        return self._chooser.choose(ask, self._clock(), take=False)

    def failed(self, account_id: str, model: str, verdict: Verdict, choice: Choice | None = None) -> None:
        """An attempt failed. `model` is the one that was asked for; what is not known cannot be benched."""
        health = self._healths.get(account_id)
        if health is None:
            return
        now = self._clock()
        benched = model if verdict.scope is Scope.MODEL else ""
        if verdict.scope is Scope.ACCOUNT or benched:
            made = now if choice is None else choice.made
            cooldown = after_failure(health.of(benched), account_id, benched, verdict, made, now)
            if cooldown is not None:
                self._put(health, cooldown)
        self._heard(health, choice, now)

    def unusable(self, account_id: str, reason: str, choice: Choice | None = None) -> None:
        """Its secret cannot be had: it is left alone for a while, longer each time.

        That is trouble of this process, which `drain` does not tell the others: they may well have the secret.
        """
        key = account_id, ""
        unsaved = self._unsaved_cooldowns.get(key)
        self.failed(account_id, "", Verdict(Act.NEXT, Scope.ACCOUNT, reason=reason, escalates=True), choice)
        if unsaved is not None:
            self._unsaved_cooldowns[key] = unsaved
        else:
            self._unsaved_cooldowns.pop(key, None)

    def regained(self, account_id: str, reason: str) -> None:
        """What `unusable` said is over: it has another secret now. No word of an upstream's is forgotten."""
        health = self._healths.get(account_id)
        if health is not None and health.cooldown is not None and health.cooldown.reason == reason:
            health.cooldown = None
            self._reconsider(account_id, self._clock())

    def succeeded(
        self, account_id: str, model: str, limits: Limits | None = None, choice: Choice | None = None
    ) -> None:
        """It has answered well. `limits` is what the head of its answer said."""
        health = self._healths.get(account_id)
        if health is None:
            return
        now = self._clock()
        made = now if choice is None else choice.made
        for cooldown in [one for one in (health.cooldown, health.models.get(model)) if one is not None]:
            cleared = after_success(cooldown, made, now)
            if cleared is not None:
                self._put(health, cleared)
                self._reconsider(account_id, now)
        if not self._strategy.per_conversation:
            self._chooser.sessions.use(account_id, self._chooser.conversations.stickiness, now)
        self._heard(health, choice, now, limits)

    def heard(self, account_id: str, limits: Limits) -> None:
        """It has said this of its limits, beside an answer."""
        health = self._healths.get(account_id)
        if health is not None:
            self._heard(health, None, self._clock(), limits)

    def forgive(self, account_id: str) -> None:
        """Its owner says that its limits are over, whoever named them."""
        health = self._healths.get(account_id)
        if health is not None:
            self._forgive(health, verified=True)
            self._reconsider(account_id, self._clock())

    def released(self, choice: Choice) -> None:
        """Nobody waits for this attempt any more: if it was the probe, another may be."""
        health = self._healths.get(choice.account.id)
        if health is not None and health.end_lease(choice.serial):
            self._reconsider(health.account_id, self._clock())

    def status(self, account_id: str) -> Status:
        """How an account is, for people."""
        member = self._members.get(account_id)
        if member is None:
            return Status("unknown")
        return reasons.status(member, self._chooser.conversations.on(account_id), self._clock())

    def windows(self, account_id: str) -> tuple[Usage, ...]:
        """What was last heard of an account's windows."""
        health = self._healths.get(account_id)
        return tuple(health.windows.values()) if health is not None else ()

    def resting(self, account_id: str) -> Cooldown | None:
        """The cooldown of a whole account that is in force now."""
        health = self._healths.get(account_id)
        return health.blocking("", self._clock()) if health is not None else None

    def restore(self, state: PoolState) -> None:
        """Take up what was stored when an earlier process ended."""
        self.merge(state)

    def merge(self, state: PoolState) -> None:
        """Take over what other processes have learnt; of two words about one thing the newer counts."""
        now = self._clock()
        concerned: dict[str, None] = {}
        for theirs in state.cooldowns:
            if self._merge_cooldown(theirs, now):
                concerned[theirs.account_id] = None
        for usage in state.usages:
            if self._health(usage.account_id).keep(usage):
                concerned[usage.account_id] = None
        for account_id in concerned:
            self._reconsider(account_id, now)
        homes = []
        for home in state.homes:
            if home.key.startswith(SESSION_KEY):
                self._chooser.sessions.merge(home)
            else:
                homes.append(home)
        self._chooser.conversations.merge(homes, now)

    def drain(self, everything: bool = False) -> list[Change]:
        """What has to be stored, at most a thousand changes at a time; `everything` at the end of the process."""
        changes: Iterator[Change] = chain(
            self._changed_cooldowns(),
            self._chooser.sessions.changes(),
            self._changed_usage(everything),
            self._chooser.conversations.changes(),
        )
        return list(islice(changes, MOST_CHANGES))

    def _health(self, account_id: str) -> Health:
        health = self._healths.get(account_id)
        if health is None:
            health = self._healths[account_id] = Health(account_id)
        return health

    def _forget(self, account_id: str) -> None:
        del self._healths[account_id]
        self._unsaved_usage.pop(account_id, None)
        self._chooser.sessions.forget(account_id)
        for key in [key for key in self._unsaved_cooldowns if key[0] == account_id]:
            del self._unsaved_cooldowns[key]

    def _forgive(self, health: Health, verified: bool = False) -> None:
        """A new sign-in ends guesses of the old one; with `verified` what upstreams said ends, too."""
        now = self._clock()
        for cooldown in list(health.cooldowns()):
            cleared = None if cooldown.verified and not verified else after_success(cooldown, now, now)
            if cleared is not None:
                self._put(health, cleared)

    def _rank_anew(self) -> None:
        now = self._clock()
        self._chooser.reset(self._members, self._strategy)
        for member in self._members.values():
            self._chooser.views.await_reset(member, now)

    def _put(self, health: Health, cooldown: Cooldown) -> None:
        health.put(cooldown)
        self._unsaved_cooldowns[cooldown.account_id, cooldown.model] = cooldown
        if cooldown.model:
            self._chooser.views.benched(cooldown.model)

    def _heard(self, health: Health, choice: Choice | None, now: float, limits: Limits | None = None) -> None:
        """Any word of it: a probe is over, and what its windows say counts from now on."""
        better = choice is not None and health.end_lease(choice.serial)
        member = self._members.get(health.account_id)
        if member is None:
            return
        measure = self._strategy.measure
        before = measure(member, now) if self._strategy.improves else 0.0
        health.unheard = 0
        if limits is not None and limits.windows and health.note(limits, now):
            self._unsaved_usage[health.account_id] = None
        if self._strategy.improves:
            self._chooser.views.await_reset(member, now)
            better = better or measure(member, now) < before
        if better:
            self._chooser.views.reconsider(member, now)

    def _reconsider(self, account_id: str, now: float) -> None:
        member = self._members.get(account_id)
        if member is not None:
            self._chooser.views.await_reset(member, now)
            self._chooser.views.reconsider(member, now)

    def _merge_cooldown(self, theirs: Cooldown, now: float) -> bool:
        health = self._health(theirs.account_id)
        ours = health.of(theirs.model)
        result = combined(ours, theirs, now)
        if result is ours:
            return False
        self._put(health, result)
        if result is theirs:
            del self._unsaved_cooldowns[theirs.account_id, theirs.model]
        return True

    def _changed_cooldowns(self) -> Iterator[Change]:
        while self._unsaved_cooldowns:
            yield self._unsaved_cooldowns.popitem()[1]

    def _changed_usage(self, everything: bool) -> Iterator[Change]:
        now = self._clock()
        for account_id in list(self._unsaved_usage):
            health = self._healths[account_id]
            if everything or now - health.saved >= USAGE_SAVED_EVERY:
                del self._unsaved_usage[account_id]
                fresh = [usage for usage in health.windows.values() if usage.seen > health.saved]
                health.saved = now
                yield from fresh
