"""Opening the browser of whoever sits before this machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping

# In a process of its own: a browser may block, print what it likes, and die of a Ctrl-C meant for us.
_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
_POLL_SECONDS = 0.1


def has_browser(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can show itself here: without a display a text browser would take the terminal."""
    if environ.get("BROWSER"):
        return True
    if platform == "darwin":
        return not environ.get("SSH_CONNECTION")
    return platform == "win32" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


async def open_browser(address: str, environ: Mapping[str, str]) -> bool:
    """Open `address` in the browser that $BROWSER or the desktop names; False when there is none.

    Some browsers return at once, others when they are closed; cancelling leaves the browser alone.
    """
    if not has_browser(environ):
        return False
    process = _start(address, environ)
    # A process of asyncio's own would be killed when the loop ends, and a browser must outlive us.
    while process.poll() is None:  # noqa: ASYNC110 - nothing tells a loop of a process it does not own
        await asyncio.sleep(_POLL_SECONDS)
    return process.returncode == 0


def _start(address: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-c", _OPEN, address]
    return subprocess.Popen(command, env=dict(environ), stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
