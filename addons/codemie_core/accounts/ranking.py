"""The accounts that may serve one kind of request, best first, without looking at all of them each time.

A heap whose entries are put right when they surface. Ranks that got worse are noticed there; only an account that got
better, or is free before its time, has to be reconsidered at once. Whoever is out sleeps in a second heap until the
time it may be free. So a choice costs a few heap operations, each cooldown one more, however many accounts there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from codemie_core.accounts.member import Member

SLACK = 64
"""Outdated entries a heap may hold beyond two for each account."""

type Rank = tuple[int, float, float]
type Measure = Callable[[Member, float], float]


class Ranking:
    """By priority, then `measure`, then by turns: an account of weight 3 has three turns for one of weight 1.

    `model` is what they are asked for, as far as that makes a difference among them.
    """

    def __init__(
        self, members: Sequence[Member], model: str, measure: Measure, rng: Callable[[], float], now: float
    ) -> None:
        self.members = members
        self._model = model
        self._measure = measure
        self._numbers = {member.id: number for number, member in enumerate(members)}
        # Two processes that start together must not both begin with the first account.
        self._turns = [rng() * member.share for member in members]
        self._reached: dict[int, float] = {}
        """The turn each priority has come to: whoever was away does not make up for it."""
        self._valid: list[Rank | None] = [None] * len(members)
        """The one entry that counts; None for who sleeps."""
        self._heap: list[tuple[Rank, int]] = []
        self._asleep: list[tuple[float, int]] = []
        for number in range(len(members)):
            self._valid[number] = self._rank(number, now)
        self._rebuild()

    def best(self, now: float, excluded: Collection[str] = ()) -> Member | None:
        """The first one that is free."""
        self._wake(now)
        aside: list[tuple[Rank, int]] = []
        found = None
        heap = self._heap
        while heap and found is None:
            rank, number = heap[0]
            member = self.members[number]
            if rank != self._valid[number]:
                heappop(heap)
                continue
            current = self._rank(number, now)
            if current > rank:
                self._valid[number] = current
                heapreplace(heap, (current, number))
                continue
            free_at = member.health.free_at(self._model, now)
            if free_at:
                heappop(heap)
                self._sleep(number, free_at)
            elif member.id in excluded:
                aside.append(heappop(heap))
            else:
                found = member
        for entry in aside:
            heappush(heap, entry)
        return found

    def took(self, member: Member) -> None:
        """It got something new to do: its turn is over."""
        number = self._numbers[member.id]
        priority = member.account.priority
        turn = max(self._turns[number], self._reached.get(priority, 0.0))
        self._reached[priority] = turn
        self._turns[number] = turn + member.share

    def reconsider(self, member: Member, now: float) -> None:
        """It may be free before its time, or may have got better."""
        number = self._numbers.get(member.id)
        if number is None:
            return
        valid = self._valid[number]
        if valid is None:
            if not member.health.free_at(self._model, now):
                self._enter(number, self._rank(number, now))
            return
        rank = self._rank(number, now)
        if rank < valid:
            self._enter(number, rank)

    def _wake(self, now: float) -> None:
        asleep = self._asleep
        while asleep and asleep[0][0] <= now:
            number = heappop(asleep)[1]
            if self._valid[number] is None:
                self._enter(number, self._rank(number, now))

    def _sleep(self, number: int, until: float) -> None:
        self._valid[number] = None
        heappush(self._asleep, (until, number))
        if len(self._asleep) > 2 * len(self.members) + SLACK:
            earliest = {number: at for at, number in sorted(self._asleep, reverse=True)}
            self._asleep = sorted((at, number) for number, at in earliest.items())

    def _enter(self, number: int, rank: Rank) -> None:
        self._valid[number] = rank
        heappush(self._heap, (rank, number))
        if len(self._heap) > 2 * len(self.members) + SLACK:
            self._rebuild()

    def _rank(self, number: int, now: float) -> Rank:
        member = self.members[number]
        return (member.account.priority, self._measure(member, now), self._turns[number])

    def _rebuild(self) -> None:
        self._heap = [(rank, number) for number, rank in enumerate(self._valid) if rank is not None]
        heapify(self._heap)
