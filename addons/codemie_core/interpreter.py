"""What Python itself is set to while a proxy runs: its collector of cycles, and the turns of its threads."""

from __future__ import annotations

from codemie_core.heap import Heap
from codemie_core.thread_turns import ThreadTurns


class Interpreter:
    """`settle` once the loop runs, `leave` at its end."""

    def __init__(self) -> None:
        self._heap = Heap()
        self._turns = ThreadTurns()

    def settle(self) -> None:
        """Set it for many small events."""
        self._heap.settle()
        self._turns.settle()

    def leave(self) -> None:
        """As it was."""
        self._heap.leave()
        self._turns.leave()
