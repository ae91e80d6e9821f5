"""When a proxy that failed is started again, and when that is given up."""

from __future__ import annotations

from dataclasses import dataclass

WAITS = (1.0, 2.0, 4.0)
"""Seconds before each restart in a row."""
STEADY = 60.0
"""Seconds of service after which a failure is the first one again."""
MISSES = 3
"""Looks in a row without an answer that mean: it hangs. One is a machine that is busy, or has just woken up."""


@dataclass(slots=True)
class Patience:
    """Of one supervisor."""

    in_a_row: int = 0
    misses: int = 0

    def wait(self, served: float) -> float | None:
        """Seconds until the next start, after one that served so long; None: no more."""
        self.misses = 0
        if served >= STEADY:
            self.in_a_row = 0
        if self.in_a_row >= len(WAITS):
            return None
        self.in_a_row += 1
        return WAITS[self.in_a_row - 1]

    def seen(self, well: bool) -> bool:
        """After a look: has it failed?"""
        self.misses = 0 if well else self.misses + 1
        return self.misses >= MISSES
