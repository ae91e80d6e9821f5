"""Which event loop `start` runs on: uvloop when a version is installed that was seen to work, else asyncio's own."""

from __future__ import annotations

import asyncio
import importlib.metadata

SEEN_TO_WORK = ("0.22.",)
"""uvloop 0.23.0 does not start under mitmproxy's eager task factory."""


def uvloop_version() -> str | None:
    """The installed version, found without loading it."""
    try:
        return importlib.metadata.version("uvloop")
    except importlib.metadata.PackageNotFoundError:
        return None


def uvloop_state(found: str | None = None) -> str:
    """In words: the version that will be used, or why none will."""
    found = found or uvloop_version()
    if found is None:
        return "not installed; asyncio's own loop is used (pip install 'codemie-proxy[fast]')"
    if not found.startswith(SEEN_TO_WORK):
        return f"{found} is not among the versions seen to work ({SEEN_TO_WORK[0]}x); asyncio's own loop is used"
    return found


def choose_event_loop() -> str:
    """Make uvloop the process's loop if it can be; the name of the loop for people to read."""
    found = uvloop_version()
    if found is None or not found.startswith(SEEN_TO_WORK):
        return f"asyncio (uvloop: {uvloop_state(found)})"
    try:
        import uvloop
    except ImportError as error:
        return f"asyncio (uvloop cannot be loaded: {error})"
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return f"uvloop {found}"
