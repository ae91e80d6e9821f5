"""Which account each conversation lives on: its prompt cache is there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from codemie_core.accounts.state import Home

SAVED_EVERY = 60.0
"""Seconds: the last use is saved no more often."""


class Place:
    """Where one conversation lives. `saved` is the last use that was saved."""

    __slots__ = ("account_id", "saved", "since", "used")

    def __init__(self, account_id: str, since: float, used: float, saved: float) -> None:
        self.account_id = account_id
        self.since = since
        self.used = used
        self.saved = saved


class Conversations:
    """At most `most` of them, the least recently used one forgotten first; each is kept `stickiness` seconds."""

    def __init__(self, stickiness: float, most: int) -> None:
        self.stickiness = stickiness
        self.most = most
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._unsaved: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str, now: float) -> Place | None:
        """Its place, unless it was not used for too long."""
        place = self._places.get(key)
        return place if place is not None and now - place.used < self.stickiness else None

    def touch(self, key: str, place: Place, now: float) -> None:
        """It is used now."""
        place.used = now
        self._places.move_to_end(key)
        if now - place.saved >= SAVED_EVERY:
            self._unsaved[key] = None

    def settle(self, key: str, account_id: str, now: float) -> None:
        """It lives there from now on."""
        self._keep(key, Place(account_id, now, now, 0.0))
        self._unsaved[key] = None
        self.tidy(now)

    def on(self, account_id: str) -> int:
        """How many live there."""
        return self._counts.get(account_id, 0)

    def tidy(self, now: float) -> None:
        """Forget those that are too many, and from the least recently used one on those that are too old."""
        while self._places:
            key = next(iter(self._places))
            if len(self._places) <= self.most and now - self._places[key].used < self.stickiness:
                return
            self._counts[self._places.pop(key).account_id] -= 1
            self._unsaved.pop(key, None)

    def merge(self, homes: Iterable[Home], now: float) -> None:
        """What others know: the newer home counts, and the last use by anybody."""
        for home in sorted(homes, key=_used):
            ours = self._places.get(home.key)
            if now - home.used >= self.stickiness:
                continue
            if ours is None or home.since > ours.since:
                self._keep(home.key, Place(home.account_id, home.since, home.used, home.used))
                self._unsaved.pop(home.key, None)
            elif home.used > ours.used:
                ours.used = home.used
        self.tidy(now)

    def changes(self) -> Iterator[Home]:
        """What has to be saved, each once, as far as it is asked for."""
        while self._unsaved:
            key = self._unsaved.popitem(last=False)[0]
            place = self._places[key]
            place.saved = place.used
            yield Home(key, place.account_id, place.since, place.used)

    def _keep(self, key: str, place: Place) -> None:
        former = self._places.get(key)
        if former is not None:
            self._counts[former.account_id] -= 1
        self._counts[place.account_id] = self._counts.get(place.account_id, 0) + 1
        self._places[key] = place
        self._places.move_to_end(key)


def _used(home: Home) -> float:
    return home.used
