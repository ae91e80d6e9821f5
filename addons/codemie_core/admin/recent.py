"""The exchanges that ended last, with what the history does not keep: why the account was chosen, how each try went."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

KEPT = 500


class Recent:
    """The newest last. What an exchange saw of bodies is not kept: observers, tail and parsed request are let go."""

    def __init__(self, most: int = KEPT) -> None:
        self._kept: deque[Exchange] = deque(maxlen=most)

    def add(self, exchange: Exchange) -> None:
        """One has ended, and all addons have heard of it."""
        self._kept.append(exchange)

    def newest_first(self) -> Iterator[Exchange]:
        """A snapshot."""
        yield from list(reversed(self._kept))

    def of(self, request_id: str) -> Exchange | None:
        """The exchange of this id, where it is remembered."""
        return next((one for one in reversed(self._kept) if one.request_id == request_id), None)

    def __len__(self) -> int:
        return len(self._kept)
