"""A proxy that is started for somebody: `codemie-proxy start`, which ends when its starter does, however that ends.

`python -m codemie_core.launch.lifeline DESCRIPTOR ARGUMENTS`. The descriptor is the reading end of a pipe: one byte
lets the proxy go on alone, and the pipe's end without one ends it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from codemie_core.running import LENT

KEEP = b"k"


def wait_for_end(descriptor: int, end: Callable[[], None]) -> None:
    """Until the starter says something or is gone."""
    try:
        told = os.read(descriptor, 1)
    finally:
        os.close(descriptor)
    if told == KEEP:
        LENT.clear()
    else:
        end()


def main(arguments: Sequence[str]) -> None:
    """Run the command line with the rest of the arguments."""
    from codemie_core.cli import app

    LENT.set()
    # SIGTERM ends mitmproxy in good order, and what has not got that far at once.
    end = lambda: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731 - it is one word long
    threading.Thread(target=wait_for_end, args=(int(arguments[0]), end), name="lifeline", daemon=True).start()
    app.main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
