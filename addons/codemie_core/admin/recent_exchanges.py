"""Exchanges that this process knows itself: those that are open, and those that ended last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from codemie_core.admin.plane import Plane
from codemie_core.admin.recent import Recent
from codemie_core.exchange import BOOK

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

ADDON = "admin_server"


def open_ones(plane: Plane) -> list[Exchange]:
    """Those under way, the newest first."""
    found = [exchange for exchange in BOOK.still_open() if exchange.scoped]
    return sorted(found, key=lambda exchange: -exchange.started_at)


def ended_ones(plane: Plane) -> Iterator[Exchange]:
    """Those that ended last, the newest first."""
    recent = cast("Recent | None", getattr(plane.addon(ADDON), "recent", None))
    return recent.newest_first() if recent is not None else iter(())


def remembered(plane: Plane, request_id: str) -> Exchange | None:
    """The exchange of this turn; turns of one WebSocket share it. None when it is of another process, or too old."""
    whole, _, number = request_id.partition(".")
    named = {request_id, whole} if number.isdigit() else {request_id}
    for exchange in (*open_ones(plane), *ended_ones(plane)):
        if exchange.request_id in named:
            return exchange
    return None


def model_of(plane: Plane, exchange: Exchange) -> str:
    """The model that an open exchange asks for; "" where nobody knows."""
    asked = getattr(plane.addon("usage_metering"), "model_of", None)
    return str(asked(exchange)) if asked is not None and exchange.open else ""
