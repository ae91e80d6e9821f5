"""Choosing an account: the conversation's own while that can serve, else the first of the ranking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence

from codemie_core.accounts import reasons
from codemie_core.accounts.asking import Ask, Choice
from codemie_core.accounts.conversations import Conversations, Place
from codemie_core.accounts.empty import PROBING, Unusable
from codemie_core.accounts.member import Member
from codemie_core.accounts.strategies import Sessions, Strategy
from codemie_core.accounts.substitutes import substitutes_for
from codemie_core.accounts.views import View, Views

LONGEST_KEY = 200
"""Characters; conversations are named by clients."""
SOON = 1.0
"""Seconds after which it is worth asking again for an account that is being probed, or that failed one request."""

_NOBODY: frozenset[str] = frozenset()


class Chooser:
    """For a pool that tells it of its accounts. With `take` a choice has effects, without it only looks."""

    def __init__(self, strategy: Strategy, conversations: Conversations, rng: Callable[[], float]) -> None:
        self.conversations = conversations
        self.sessions = Sessions()
        self.views = Views(strategy, rng)
        self.substitutes: Sequence[tuple[str, str]] = ()
        self._strategy = strategy
        self._members: dict[str, Member] = {}
        self._own_fallbacks: tuple[str, ...] = ()
        self._serial = 0

    def reset(self, members: dict[str, Member], strategy: Strategy) -> None:
        """Other accounts, or another strategy. Conversations stay where they are."""
        self._members = members
        self._strategy = strategy
        ranked = sorted(members.values(), key=lambda member: (member.account.priority, member.order))
        named = (member.account.fallback_model for member in ranked)
        self._own_fallbacks = tuple(dict.fromkeys(model for model in named if model))
        self.views.reset(members, strategy)

    def choose(self, ask: Ask, now: float, take: bool) -> Choice | tuple[Unusable, ...]:
        """An account, or why there is none."""
        self.views.tick(now)
        choice = self._serving(ask, ask.model, False, now, take)
        if choice is not None:
            return choice
        for model, own in self._instead(ask.model):
            choice = self._serving(ask, model, own, now, take)
            if choice is not None:
                return choice
        return tuple(self._unusable(ask, now))

    def _instead(self, model: str) -> Iterator[tuple[str, bool]]:
        if model:
            yield from ((own, True) for own in self._own_fallbacks if own != model)
            yield from ((substitute, False) for substitute in substitutes_for(model, self.substitutes))

    def _serving(self, ask: Ask, model: str, own: bool, now: float, take: bool) -> Choice | None:
        excluded = self._excluded(ask, model, now) if ask.excluded else _NOBODY
        if self._strategy.per_conversation and ask.conversation:
            return self._of_conversation(ask, model, own, excluded, now, take)
        view = self.views.of(ask.origin, model, own, now)
        if self._strategy.per_conversation:
            member = view.ranking.best(now, excluded)
            why = "" if member is None else reasons.fresh(member, "")
        else:
            member, why = self._of_session(view, model, excluded, now, take)
        if member is None:
            return None
        if take:
            self._count(view, member)
            if ask.conversation:
                self._follow(_short(ask.conversation), member, now)
        return self._choice(member, ask, model, why, now, take)

    def _of_conversation(
        self, ask: Ask, model: str, own: bool, excluded: Collection[str], now: float, take: bool
    ) -> Choice | None:
        key, place, home = self._home(ask, model, own, now)
        blocked = place is None or home is None or home.stopped
        if place is not None and home is not None and not home.stopped:
            if not home.health.free_at(model, now) and home.id not in excluded:
                if take:
                    self.conversations.touch(key, place, now)
                return self._choice(home, ask, model, reasons.KEPT, now, take)
            blocked = home.health.blocking(model, now) is not None
        view = self.views.of(ask.origin, model, own, now)
        member = view.ranking.best(now, excluded)
        if member is None:
            return None
        if place is None:
            why = reasons.fresh(member, key)
        elif blocked or home is None:
            why = reasons.moved(home, model, now)
        else:
            why = reasons.for_once(home, model, now)
        if take:
            self._count(view, member)
            if blocked:
                self.conversations.settle(key, member.id, now)
        return self._choice(member, ask, model, why, now, take)

    def _home(self, ask: Ask, model: str, own: bool, now: float) -> tuple[str, Place | None, Member | None]:
        """Where it lives. What its account never serves, another provider's model say, lives beside it."""
        key = _short(ask.conversation)
        place = self.conversations.get(key, now)
        home = self._members.get(place.account_id) if place is not None else None
        if home is None or _fits(home, ask.origin, model, own):
            return key, place, home
        key = _short(f"{key} {ask.origin} {model}")
        place = self.conversations.get(key, now)
        home = self._members.get(place.account_id) if place is not None else None
        if home is not None and not _fits(home, ask.origin, model, own):
            home = None
        return key, place, home

    def _of_session(
        self, view: View, model: str, excluded: Collection[str], now: float, take: bool
    ) -> tuple[Member | None, str]:
        duration = self.conversations.stickiness
        active = view.active(self.sessions, duration, now)
        free = active is not None and not active.stopped and not active.health.free_at(model, now)
        if active is not None and free and active.id not in excluded:
            return active, reasons.SESSION
        member = view.ranking.best(now, excluded)
        if member is not None and take and not excluded:
            # An account that only stands in for one request begins its session when it has answered.
            self.sessions.use(member.id, duration, now)
        return member, reasons.NEW_SESSION

    def _follow(self, key: str, member: Member, now: float) -> None:
        """Conversations are remembered where the pool's session takes them, for when the strategy changes."""
        place = self.conversations.get(key, now)
        if place is not None and place.account_id == member.id:
            self.conversations.touch(key, place, now)
        else:
            self.conversations.settle(key, member.id, now)

    def _count(self, view: View, member: Member) -> None:
        view.ranking.took(member)
        member.health.unheard += 1

    def _choice(self, member: Member, ask: Ask, model: str, why: str, now: float, take: bool) -> Choice:
        health = member.health
        probe = (health.cooldown is not None or bool(health.models)) and health.recovering(model) is not None
        if model != ask.model:
            why = reasons.instead(ask.model, model) + why
        if probe:
            why += reasons.BACK
        if take:
            self._serial += 1
            if probe:
                health.lease(self._serial, now)
        return Choice(member.account, why, "" if model == ask.model else model, probe, now, self._serial)

    def _excluded(self, ask: Ask, model: str, now: float) -> frozenset[str]:
        if model == ask.model:
            return ask.excluded
        excluded = set()
        for entry in ask.excluded:
            account_id, _, tried = entry.partition(" ")
            member = self._members.get(account_id)
            # Whose model is out may be asked for another one.
            out = member is not None and member.health.models.get(ask.model)
            if tried == model or (not tried and not (out and out.until > now)):
                excluded.add(account_id)
        return frozenset(excluded)

    def _unusable(self, ask: Ask, now: float) -> Iterator[Unusable]:
        for member in self._members.values():
            if ask.origin not in member.origins:
                continue
            if not member.serves(ask.origin, ask.model):
                yield Unusable(member.account.name, f"does not serve {ask.model}", serves=False)
                continue
            reason = reasons.out(member, ask.model, now)
            free_at = member.health.free_at(ask.model, now)
            if member.stopped:
                yield Unusable(member.account.name, reason)
            elif not free_at:
                yield Unusable(member.account.name, reasons.FAILED, now + SOON)
            else:
                probing = reason == PROBING
                yield Unusable(member.account.name, reason, now + SOON if probing else free_at)


def _fits(member: Member, origin: str, model: str, own: bool) -> bool:
    return member.serves_as_fallback(origin, model) if own else member.serves(origin, model)


def _short(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
