"""The hub of the live view: what happens to requests, told to whoever listens, for nothing while nobody does."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from codemie_core.admin.broadcast import MOST_LISTENERS, MOST_WAITING, Broadcast, Subscription, TooMany
from codemie_core.admin.live_events import LiveEvent, ended, recorded, running

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange
    from codemie_core.usage.record import Record

__all__ = ["MOST_LISTENERS", "MOST_WAITING", "Hub", "Subscription", "TooMany"]

logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the open exchanges, while somebody listens."""
PACE = 1.0
"""Seconds between two words about the progress of one exchange."""
MOST_AT_ONCE = 16
"""Words per look: the loop in which they are said is the one that streams."""
HEADROOM = 1.25
MOST_TOLD_FIRST = 200
"""Open exchanges that a new listener hears of."""


class Hub(Broadcast[LiveEvent]):
    """Nobody who streams tells it anything: while somebody listens it looks at the open exchanges, ten times a second.

    `open_exchanges` tells which have not ended; `model_of` which model one of them asked for, "" for unknown.
    """

    def __init__(
        self,
        open_exchanges: Callable[[], Iterable[Exchange]],
        model_of: Callable[[Exchange], str] = lambda _: "",
    ) -> None:
        super().__init__()
        self.on_wanted: Callable[[bool], None] = lambda _: None
        """Called when the first listener has come and when the last has gone: hooks are on only in between."""
        self._open, self._model_of = open_exchanges, model_of
        self._models: dict[str, str] = {}
        self._told: dict[str, tuple[float, int]] = {}
        """By request id: when its progress is worth a word again, and the bytes told last."""
        self._timer: asyncio.TimerHandle | None = None

    def subscribe(self, first: Iterable[LiveEvent] = ()) -> Subscription[LiveEvent]:
        """Listen: first to what is under way, then to what happens. TooMany when all places are taken."""
        before = self.wanted
        listener = super().subscribe((*first, *itertools.islice(self._under_way(), MOST_TOLD_FIRST)))
        if not before:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)
            self.on_wanted(True)
        return listener

    def started(self, exchange: Exchange, model: str) -> None:
        """A request is complete and about to go out."""
        if self.wanted:
            self._models[exchange.request_id] = model
            self.publish(running("start", exchange, model))

    def finished(self, exchange: Exchange) -> None:
        """An exchange has ended, however it ended."""
        model = self._models.pop(exchange.request_id, "")
        self._told.pop(exchange.request_id, None)
        if self.wanted and exchange.scoped:
            self.publish(ended(exchange, model or self._model_of(exchange)))

    def counted(self, record: Record) -> None:
        """A model turn has been counted."""
        if self.wanted:
            self.publish(recorded(record))

    def _left(self, listener: Subscription[LiveEvent]) -> None:
        super()._left(listener)
        if not self.wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._models.clear()
            self._told.clear()
            self.on_wanted(False)

    def _model(self, exchange: Exchange) -> str:
        model = self._models.get(exchange.request_id)
        if model is None:
            model = self._models[exchange.request_id] = self._model_of(exchange)
        return model

    def _under_way(self) -> Iterator[LiveEvent]:
        for exchange in self._open():
            if exchange.scoped:
                yield running("start", exchange, self._model(exchange))

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK, self._look)
        try:
            for event in itertools.islice(self._news(loop.time()), MOST_AT_ONCE):
                self.publish(event)
        except Exception as error:
            # A view that stands still harms nobody; a look that raises for ever would fill the log.
            self._timer.cancel()
            logger.error("The live view shows no progress any more: %s", type(error).__name__)

    def _news(self, now: float) -> Iterator[LiveEvent]:
        # The more there are, the seldomer each: the last in the list gets its turn too.
        pace = max(PACE, HEADROOM * len(self._told) * TICK / MOST_AT_ONCE)
        for exchange in self._open():
            if not exchange.scoped or exchange.first_byte_ms is None or exchange.terminal is not None:
                continue
            due, told = self._told.get(exchange.request_id, (None, 0))
            if due is None or (now >= due and exchange.response_bytes != told):
                self._told[exchange.request_id] = (now + pace, exchange.response_bytes)
                yield running("progress" if due is not None else "first_token", exchange, self._model(exchange))
