"""Strategies: how accounts of equal priority are told apart when nothing yet speaks for one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from codemie_core.accounts.member import Member
from codemie_core.accounts.state import Home
from codemie_core.errors import SettingsError

UNHEARD_POINTS = 5
"""Percent that a conversation counts for until its account is heard of again: a burst spreads."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """`measure` ranks equals, lowest first; where it ties, they share by weight."""

    name: str
    measure: Callable[[Member, float], float]
    per_conversation: bool = True
    """Each conversation keeps its account; otherwise the whole pool keeps one."""
    improves: bool = False
    """The measure of an account may fall: it has to be looked at again when it was heard of."""


def _nothing(_: Member, _now: float) -> float:
    return 0.0


def _place(member: Member, _: float) -> float:
    return float(member.order)


def _percent(member: Member, now: float) -> float:
    return int((member.health.fullest(now) or 0.0) * 100) + member.health.unheard * UNHEARD_POINTS


def _drains_at(member: Member, now: float) -> float:
    return member.health.drains_at(now)


STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("session", _nothing),
        Strategy("global-session", _place, per_conversation=False),
        Strategy("least-used", _percent, improves=True),
        Strategy("drain-soonest", _drains_at, improves=True),
    )
}


def strategy_named(name: str) -> Strategy:
    """SettingsError for a name there is no strategy for."""
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise SettingsError(f"strategy: there is no {name!r}; choose one of {', '.join(STRATEGIES)}")
    return strategy


SESSION_KEY = "@session:"
"""Before an account's id: its session is saved like a conversation's home."""


class Sessions:
    """`global-session`: when each account's session began. The newest one that is not over serves everybody."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._unsaved: dict[str, None] = {}
        self.generation = 0
        """Grows with every change."""

    def running(self, account_id: str, duration: float, now: float) -> bool:
        """A session is over at exactly its duration."""
        began = self._began.get(account_id)
        return began is not None and now - began < duration

    def newest(self, members: Iterable[Member]) -> Member | None:
        """Whose session began last, over or not; of two the one that comes first."""
        best, latest = None, -1.0
        for member in members:
            began = self._began.get(member.id, -1.0)
            if began > latest:
                best, latest = member, began
        return best

    def use(self, account_id: str, duration: float, now: float) -> None:
        """It is used: its session begins, unless one is running."""
        if not self.running(account_id, duration, now):
            self._began[account_id] = now
            self._unsaved[account_id] = None
            self.generation += 1

    def forget(self, account_id: str) -> None:
        """The account is gone."""
        self._began.pop(account_id, None)
        self._unsaved.pop(account_id, None)
        self.generation += 1

    def merge(self, home: Home) -> None:
        """What was saved; the later start counts."""
        if home.since > self._began.get(home.account_id, -1.0):
            self._began[home.account_id] = home.since
            self._unsaved.pop(home.account_id, None)
            self.generation += 1

    def changes(self) -> Iterator[Home]:
        """What has to be saved."""
        while self._unsaved:
            account_id = self._unsaved.popitem()[0]
            began = self._began[account_id]
            yield Home(SESSION_KEY + account_id, account_id, began, began)
