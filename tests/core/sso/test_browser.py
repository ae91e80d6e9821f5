"""Opening a browser, with a small script in its place."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from codemie_core.sso.browser import has_browser, open_browser

ADDRESS = "http://127.0.0.1:1/code-assistant-api/v1/auth/login/1234"


def script(folder: Path, text: str) -> str:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    "environ, platform, expected",
    [
        ({}, "linux", False),
        ({"BROWSER": "firefox"}, "linux", True),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}, "darwin", False),
        ({}, "win32", True),
    ],
)
def test_a_browser_needs_somewhere_to_show_itself(environ: dict[str, str], platform: str, expected: bool) -> None:
    assert has_browser(environ, platform) is expected


async def test_the_browser_of_the_environment_gets_the_address(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    browser = script(tmp_path, f'echo noise; echo noise >&2; echo "$1" > {tmp_path}/opened')
    assert await open_browser(ADDRESS, {**os.environ, "BROWSER": browser})
    assert (tmp_path / "opened").read_text() == f"{ADDRESS}\n"
    assert capfd.readouterr() == ("", "")


async def test_a_browser_that_fails_is_no_browser(tmp_path: Path) -> None:
    assert not await open_browser(ADDRESS, {**os.environ, "BROWSER": script(tmp_path, "exit 1")})


async def test_without_a_display_nothing_is_started() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    assert not await open_browser(ADDRESS, environ)


async def test_a_browser_outlives_the_wait_for_it(tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    browser = script(tmp_path, f"echo $$ > {fifo}; exec sleep 300")
    opening = asyncio.get_running_loop().create_task(open_browser(ADDRESS, {**os.environ, "BROWSER": browser}))
    pid = int(await asyncio.wait_for(asyncio.to_thread(fifo.read_text), 60))
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    os.kill(pid, signal.SIGTERM)  # ProcessLookupError if it had gone
