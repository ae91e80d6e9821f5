"""How much of the history is kept. Apart from those who delete, so that nobody loads a database for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keeping:
    """0 is without a bound."""

    seconds: float = 90 * 86_400.0
    """How long turns are kept, with all that belongs to them."""
    bytes: int = 1024**3
    """How large the database may become; payloads go first, then the oldest turns."""
    payload_seconds: float = 86_400.0
    """How long payloads are kept."""
