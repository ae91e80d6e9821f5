"""Loaded beside the bundle: writes down which calls kept the event loop from everything else, in a file of its home."""

import asyncio
import gc
import json
import os
import time
from pathlib import Path

FILE = "soak-slow.jsonl"
SLOW = 0.02


def collections() -> int:
    """Of garbage, but for those of the youngest, which are short."""
    return sum(generation["collections"] for generation in gc.get_stats()[1:])


class Slow:
    """From the start to the end of the proxy."""

    def running(self) -> None:
        path, run = Path(os.environ["HOME"]) / FILE, asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            before = collections()
            began, worked, spent = time.perf_counter(), time.thread_time(), time.process_time()
            # Afterwards the handle has forgotten it.
            whose = getattr(getattr(handle, "_callback", None), "__self__", handle)
            run(handle)
            if (took := time.perf_counter() - began) >= SLOW:
                worked, spent = time.thread_time() - worked, time.process_time() - spent
                collected = collections() - before
                told = {
                    "at": time.time(),
                    "took": took,
                    "worked": worked,
                    "spent": spent,
                    "collected": collected,
                    "what": repr(whose),
                }
                with path.open("a") as lines:
                    lines.write(json.dumps(told) + "\n")

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment] # every call of the loop goes through it


addons = [Slow()]
