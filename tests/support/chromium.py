"""A real browser without a window, with a profile of its own. Tests that use it bear the marker `browser`."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.programs import CHROMIUM

_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Pages that nobody looks at go on as fast as the others, and tell numbers and moments as everywhere.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--lang=en-US"),
    # Whatever the environment says, a test stays on loopback.
    *("--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
)


@contextmanager
def browser_script(folder: Path) -> Iterator[Path]:
    """A program for $BROWSER: opens its argument in chromium, which ends with the context."""
    script, pid = folder / "browser", folder / "browser.pid"
    os.mkfifo(pid)
    reading = os.open(pid, os.O_RDONLY | os.O_NONBLOCK)
    script.write_text(f'#!/bin/sh\necho $$ > {shlex.quote(str(pid))}\nexec {shlex.join(command(folder))} "$1"\n')
    script.chmod(0o700)
    try:
        yield script
    finally:
        started = os.read(reading, 100).split()
        os.close(reading)
        for found in started:
            _end(int(found))


@contextmanager
def browsing(folder: Path, address: str) -> Iterator[None]:
    """Chromium at `address`."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*command(folder), address], stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def command(folder: Path) -> list[str]:
    """The command that starts it, with a profile below `folder`."""
    assert CHROMIUM is not None
    return [CHROMIUM, *_QUIET, f"--user-data-dir={folder / 'chromium'}"]


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has ended by itself
