"""Who only asks whether the proxy is well, every few seconds of a whole day."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

HEALTH_PATHS = frozenset({"/health", "/healthz"})


def is_health_check(exchange: Exchange, answered: bool = False) -> bool:
    """Is this one answered here, as such? An upstream may have the same paths, and one that is refused is none.

    `answered` tells, before the exchange itself knows, that the flow has a response.
    """
    if exchange.path not in HEALTH_PATHS:
        return False
    return answered if exchange.terminal is None else exchange.terminal == "answered_locally"
