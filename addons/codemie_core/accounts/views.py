"""The rankings a pool keeps: one for each origin, and for each model where that makes a difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush

from codemie_core.accounts.member import Member
from codemie_core.accounts.ranking import Ranking
from codemie_core.accounts.strategies import Sessions, Strategy

MOST_VIEWS = 64
"""Models are named by clients."""


class View:
    """Who may serve one kind of request. `everyone` holds those that are paused, too."""

    def __init__(self, everyone: list[Member], ranking: Ranking) -> None:
        self.everyone = everyone
        self.ranking = ranking
        self._newest: Member | None = None
        self._generation = -1

    def active(self, sessions: Sessions, duration: float, now: float) -> Member | None:
        """`global-session`: whose session serves everybody, whether it is free or not."""
        if self._generation != sessions.generation:
            self._newest = sessions.newest(self.everyone)
            self._generation = sessions.generation
        newest = self._newest
        return newest if newest is not None and sessions.running(newest.id, duration, now) else None


class Views:
    """Made when asked for; told of whatever makes an account better or free before its time."""

    def __init__(self, strategy: Strategy, rng: Callable[[], float]) -> None:
        self._strategy = strategy
        self._rng = rng
        self._members: Mapping[str, Member] = {}
        self._choosy = False
        self._benched: set[str] = set()
        self._views: dict[tuple[str, str, bool], View] = {}
        self._resets: list[tuple[float, str]] = []

    def reset(self, members: Mapping[str, Member], strategy: Strategy) -> None:
        """Other accounts, or another strategy."""
        self._members = members
        self._strategy = strategy
        self._choosy = any(member.choosy for member in members.values())
        self._benched = {model for member in members.values() for model in member.health.models}
        self._views.clear()

    def benched(self, model: str) -> None:
        """From now on it makes a difference whether this model is asked for."""
        self._benched.add(model)

    def of(self, origin: str, model: str, own: bool, now: float) -> View:
        """Who may serve this origin and model; `own` for those that name it as their fallback."""
        if not own and not self._choosy and model not in self._benched:
            model = ""
        key = (origin, model, own)
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= MOST_VIEWS:
                del self._views[next(iter(self._views))]
            view = self._views[key] = self._made(self._fitting(origin, model, own), model, now)
        return view

    def reconsider(self, member: Member, now: float) -> None:
        """It may be free before its time, or may have got better."""
        for view in self._views.values():
            view.ranking.reconsider(member, now)

    def await_reset(self, member: Member, now: float) -> None:
        """Reconsider it when one of its windows resets: it is less used then."""
        health = member.health
        at = health.next_reset(now)
        if self._strategy.improves and at < health.armed:
            health.armed = at
            heappush(self._resets, (at, member.id))

    def tick(self, now: float) -> None:
        """Look at those whose windows have reset meanwhile."""
        while self._resets and self._resets[0][0] <= now:
            at, account_id = heappop(self._resets)
            member = self._members.get(account_id)
            if member is not None and member.health.armed == at:
                member.health.armed = math.inf
                self.reconsider(member, now)
                self.await_reset(member, now)

    def _fitting(self, origin: str, model: str, own: bool) -> Iterable[Member]:
        for member in self._members.values():
            if member.serves_as_fallback(origin, model) if own else member.serves(origin, model):
                yield member

    def _made(self, everyone: Iterable[Member], model: str, now: float) -> View:
        known = list(everyone)
        running = [member for member in known if not member.stopped]
        return View(known, Ranking(running, model, self._strategy.measure, self._rng, now))
