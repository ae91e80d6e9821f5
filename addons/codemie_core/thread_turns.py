"""How long threads that count and write may keep the loop from going on.

The loop hands the interpreter over at every socket call, and a thread that takes it keeps it for Python's switch
interval: 5 ms by default, in which no event passes, several times per request. With a shorter one the slowest of a
hundred small requests came as soon as without those threads, and each cost less CPU.
"""

from __future__ import annotations

import sys

INTERVAL = 0.0002
"""Seconds. Handing over costs some 10 us."""


class ThreadTurns:
    """`settle` once the loop runs, `leave` at its end."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def settle(self) -> None:
        """Shorten the turns; where somebody has chosen shorter ones, those stay."""
        usual = sys.getswitchinterval()
        if usual > INTERVAL:
            self._usual = usual
            sys.setswitchinterval(INTERVAL)

    def leave(self) -> None:
        """As it was: the process may go on without us."""
        if self._usual is not None:
            sys.setswitchinterval(self._usual)
            self._usual = None
