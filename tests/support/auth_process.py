"""`codemie-proxy auth ...` as a process that waits for a browser, or at a terminal for what is pasted."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from support import forged
from support.cli import COMMAND, Outcome, environ
from support.terminal import Terminal

PATIENCE = 60.0
"""Seconds for what comes for certain; a busy machine takes some."""


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
    timer = threading.Timer(PATIENCE, shown.close)
    timer.start()
    try:
        return next(line.strip() for line in shown if line.startswith("  http"))
    finally:
        timer.cancel()


def ended(process: subprocess.Popen[str], typed: str | None = None) -> Outcome:
    """How it ended, and the rest of what it showed."""
    out, err = process.communicate(typed, timeout=PATIENCE)
    return Outcome(process.returncode, out, err)


def wait_until_hidden(terminal: Terminal) -> None:
    """Until what is typed is not shown any more."""
    give_up = time.monotonic() + PATIENCE
    while terminal.echoes:
        assert terminal.process.poll() is None, terminal.screen
        assert time.monotonic() < give_up, terminal.screen
        time.sleep(0.01)
