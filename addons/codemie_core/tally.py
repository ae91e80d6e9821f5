"""What /health counts since the proxy started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange


@dataclass(slots=True)
class Tally:
    """Ended exchanges, and the attempts they took."""

    endings: Counter[str] = field(default_factory=Counter)
    """By terminal state."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed attempts, by reason."""
    attempts: int = 0
    retries: int = 0

    def add(self, exchange: Exchange) -> None:
        """An exchange has ended."""
        self.endings[str(exchange.terminal)] += 1
        self.attempts += len(exchange.attempts)
        self.retries += max(0, len(exchange.attempts) - 1)
        self.failures.update(str(a.failure.reason) for a in exchange.attempts if a.failure)

    def shown(self, still_open: int) -> Mapping[str, object]:
        """As /health shows it."""
        return {
            "exchanges": {"open": still_open, **self.endings},
            "attempts": {"total": self.attempts, "retries": self.retries, "failed": dict(self.failures)},
        }
