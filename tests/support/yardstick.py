"""How fast this machine is at this moment: a bound in microseconds means those of the machine it was chosen on."""

from __future__ import annotations

import time
from collections.abc import Callable

_PASSES = 200


def _work() -> int:
    """What interpreted code does all the time; a pass takes a microsecond where the bounds were chosen."""
    seen: dict[int, int] = {}
    for number in range(_PASSES):
        for step in range(13):
            seen[number & 31] = seen.get(number & 31, 0) + step
        if number % 7 == 0:
            seen.pop(number & 31, None)
    return len(seen)


def microseconds(work: Callable[[], object], times: int, rounds: int = 20) -> float:
    """What one of `times` costs that `work` does in one call: the best of some rounds, each beside the yardstick."""
    costs, passes = [], []
    for _ in range(rounds):
        costs.append(_seconds(work) / times)
        passes.append(_seconds(_work) / _PASSES)
    return min(costs) / min(passes)


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
