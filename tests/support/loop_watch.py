"""A script for mitmproxy that notes what keeps its loop busy: every callback above a limit, in CPU time.

The processor's time, not the clock's: a machine that is busy with other things changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

SCRIPT = Path(__file__)
LIMIT = 0.020
"""Seconds."""
_VARIABLE = "LOOP_WATCH_FILE"


class LoopWatch:
    """From `running` on: what a start takes is another matter."""

    def __init__(self) -> None:
        self.calls = 0
        self.longest = 0.0
        self.slow: list[str] = []

    def running(self) -> None:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            took = time.thread_time() - began
            self.calls += 1
            self.longest = max(self.longest, took)
            if took > LIMIT:
                self.slow.append(f"{took * 1000:.0f} ms in call {self.calls}: {_told(handle)}"[:500])

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]  # asyncio's own slow-callback log reads the clock

    def done(self) -> None:
        told = {"calls": self.calls, "longest": self.longest, "slow": self.slow}
        Path(os.environ[_VARIABLE]).write_text(json.dumps(told))


def _told(handle: asyncio.Handle) -> str:
    """Whose it is: the C code of asyncio shows only that some task goes on."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]  # as Handle.__repr__ does
    return repr(task) if isinstance(task, asyncio.Task) else repr(handle)


def env(file: Path) -> dict[str, str]:
    """The environment for the process that is to write to `file` at its end."""
    return {_VARIABLE: str(file)}


addons = [LoopWatch()]
