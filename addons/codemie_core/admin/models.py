"""Which models served, at what cost, and what they cost by the million tokens."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pydantic import Field

from codemie_core.admin.asked import EVERYTHING, Asked
from codemie_core.admin.counted import Counted, counted
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire
from codemie_core.pricing import PriceBook
from codemie_core.store.breakdown import Breakdown
from codemie_core.store.breakdown import providers as providers_of
from codemie_core.usage.rates import PER_MTOK, Rate

if TYPE_CHECKING:
    from sqlalchemy import Connection

_books: WeakKeyDictionary[Plane, PriceBook] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


class Price(Wire):
    """US dollars for a million tokens, of a prompt that is not long."""

    input: float | None
    cache_read: float | None
    cache_write: float | None
    output: float | None
    source: str = Field(description="The price list, and one's own prices, with their versions.")


class ModelUsage(Counted):
    """One model."""

    id: str
    provider: str | None
    price: Price | None = Field(description="None: no price is known; its turns are counted without cost.")


class Models(Wire):
    """Those that were asked for, the one with most turns first."""

    models: list[ModelUsage]


async def models(plane: Plane, asked: Asked = EVERYTHING) -> Models:
    """Of the turns that are asked for."""
    wanted = asked.filter(round(plane.clock() * 1000))

    def found(connection: Connection) -> Models:
        providers = providers_of(connection, wanted)
        return Models(
            models=[
                ModelUsage(
                    **counted(one).model_dump(by_alias=False),
                    id=name,
                    provider=providers.get(name) or None,
                    price=_price(plane, providers.get(name, ""), name),
                )
                for name, one in Breakdown(connection, wanted, ("model",)).by_name("model").items()
            ]
        )

    return await plane.read(found)


def _price(plane: Plane, provider: str, model: str) -> Price | None:
    with _one_at_a_time:
        book = _books.setdefault(plane, PriceBook(plane.places))
        found = book.rates(provider, model, datetime.fromtimestamp(plane.clock(), UTC)) if model else None
    if found is None:
        return None
    rates, version = found
    return Price(
        input=_dollars(rates.input),
        cache_read=_dollars(rates.cache_read or rates.input),
        cache_write=_dollars(rates.cache_write or rates.input),
        output=_dollars(rates.output),
        source=version,
    )


def _dollars(rate: Rate | None) -> float | None:
    return None if rate is None else float(rate.base / PER_MTOK)
