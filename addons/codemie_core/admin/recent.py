"""The exchanges that ended last, with what the history does not keep: why the account was chosen, how each try went."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from codemie_core.exchange import Attempt, Exchange

KEPT = 500


class Recent:
    """The newest last. Of each a copy without credentials, and without anything that was said."""

    def __init__(self, most: int = KEPT) -> None:
        self._kept: deque[Exchange] = deque(maxlen=most)

    def add(self, exchange: Exchange) -> None:
        """One has ended."""
        self._kept.append(_bare(exchange))

    def newest_first(self) -> Iterator[Exchange]:
        """A snapshot."""
        yield from list(reversed(self._kept))

    def __len__(self) -> int:
        return len(self._kept)


def _bare(exchange: Exchange) -> Exchange:
    # A copy: others still work with the exchange itself, in their threads.
    kept = _copied(exchange)
    if kept.credentials and not kept.account:
        kept.account_why = f"signed in by {', '.join(sorted({each.owner for each in kept.credentials if each.owner}))}"
    kept.credentials, kept.observers, kept.plan, kept.tail = [], [], None, b""
    kept._marker = kept._request_json = None
    kept.attempts = [_copied(attempt) for attempt in exchange.attempts]
    for attempt in kept.attempts:
        attempt.body = None
    return kept


def _copied[Slotted: (Exchange, Attempt)](one: Slotted) -> Slotted:
    # copy.copy takes ten times as long, and this is done in the loop that streams.
    kind = type(one)
    made = kind.__new__(kind)
    for name in kind.__slots__:
        setattr(made, name, getattr(one, name))
    return made
