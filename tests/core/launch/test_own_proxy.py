import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.launch.own_proxy import NotStarted, OwnProxy
from codemie_core.places import Places
from codemie_core.running import process_started, running_proxies
from support.cli import environ

TARGET = "http://127.0.0.1:9"
STARTER = f"""
import os, pathlib, signal, sys
from codemie_core.places import Places
from codemie_core.launch.own_proxy import OwnProxy
own = OwnProxy(Places(pathlib.Path(sys.argv[1])), os.environ, ("{TARGET}", "--port", sys.argv[2]))
signal.pause()
"""


def made(home: Path, *arguments: str) -> OwnProxy:
    return OwnProxy(Places(home), os.environ, (TARGET, *arguments))


def eventually(met: Callable[[], object], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def port() -> int:
    return closed_port()


async def test_it_serves_and_ends_when_it_is_told_to(codemie_home: Path, port: int) -> None:
    own = made(codemie_home, "--port", str(port))
    try:
        await own.up()
        [entry] = running_proxies(Places(codemie_home))
        assert (entry.pid, entry.addresses) == (own.pid, (f"127.0.0.1:{port}",))
        assert entry.lent
    finally:
        await asyncio.to_thread(own.stop)
    assert not own.runs
    assert list(running_proxies(Places(codemie_home))) == []


async def test_one_that_is_kept_goes_on(codemie_home: Path, port: int) -> None:
    own = made(codemie_home, "--port", str(port))
    try:
        await own.up()
        own.keep()
        [entry] = running_proxies(Places(codemie_home))
        assert not entry.lent
        own.stop()
        assert own.runs
        with socket.create_connection(("127.0.0.1", port), 60):
            pass
    finally:
        os.kill(own.pid, signal.SIGTERM)
    eventually(lambda: not own.runs)


async def test_why_it_did_not_come_up_is_told(codemie_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = made(codemie_home, "--port", str(taken.getsockname()[1]))
        with pytest.raises(NotStarted, match="is in use"):
            await own.up()
    assert not own.runs


async def test_one_that_takes_too_long_is_ended(codemie_home: Path, port: int) -> None:
    own = made(codemie_home, "--port", str(port))
    with pytest.raises(NotStarted, match=r"it said this: .*top\.log"):
        await own.up(within=0)
    assert not own.runs


def test_it_ends_with_whoever_started_it_however_that_ends(codemie_home: Path, port: int) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(codemie_home), str(port)], env=environ())
    try:
        eventually(lambda: list(running_proxies(Places(codemie_home))))
        [entry] = running_proxies(Places(codemie_home))
    finally:
        starter.kill()
        starter.wait()
    eventually(lambda: process_started(entry.pid) is None)
