"""`codemie-proxy auth ...` as a process without a terminal, while it waits for a browser."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from support import forged
from support.cli import COMMAND, Outcome, environ


@contextmanager
def waiting(
    *arguments: str, stdin: int = subprocess.DEVNULL, fresh: bool = False, **env: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`codemie-proxy auth ARGUMENTS`, and the address it waits at."""
    with forged.start([*COMMAND, "auth", *arguments], environ(**env), fresh, stdin=stdin) as process:
        try:
            assert process.stderr is not None
            yield process, address_in(process.stderr)
        finally:
            if process.poll() is None:
                process.kill()


def address_in(shown: IO[str]) -> str:
    """The first one that stands alone on a line."""
    timer = threading.Timer(20, shown.close)
    timer.start()
    try:
        return next(line.strip() for line in shown if line.startswith("  http"))
    finally:
        timer.cancel()


def ended(process: subprocess.Popen[str], typed: str | None = None) -> Outcome:
    """How it ended, and the rest of what it showed."""
    out, err = process.communicate(typed, timeout=20)
    return Outcome(process.returncode, out, err)
