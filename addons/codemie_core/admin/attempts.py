"""How many wrong tokens and codes are answered in earnest.

Nobody guesses 256 random bits, so a right token opens at any time: else whoever may reach the port, or a script with a
token of yesterday, could lock the operator out. What is held back is the noise of the wrong ones.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

MOST = 10
WITHIN = 60.0


class Attempts:
    """Failures of the last minute, whoever made them: all come from this machine."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=MOST)

    def failed(self) -> int:
        """Note a failure: 0, or, after too many, the seconds until the next one is answered in earnest."""
        now = self._clock()
        while self._failed and now - self._failed[0] >= WITHIN:
            self._failed.popleft()
        if len(self._failed) < MOST:
            self._failed.append(now)
            return 0
        return max(1, math.ceil(WITHIN - (now - self._failed[0])))
