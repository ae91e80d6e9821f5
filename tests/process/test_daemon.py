"""The daemon as real processes: started, asked, killed, started anew, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from codemie_core.daemon.state import DaemonState, read_state, state_file
from codemie_core.demo.absent import closed_port
from codemie_core.places import Places
from codemie_core.running import process_started, running_proxies
from support.cli import COMMAND, environ, run

TARGET = "http://127.0.0.1:9"


@pytest.fixture
def places(codemie_home: Path) -> Iterator[Places]:
    home = Places(codemie_home)
    yield home
    state = read_state(home)
    run("daemon", "stop")
    if state:
        for pid, started in ((state.pid, state.process_started), (state.proxy_pid, state.proxy_process_started)):
            assert process_started(pid) != started


def known(places: Places) -> DaemonState:
    state = read_state(places)
    assert state is not None
    return state


def status() -> dict:
    outcome = run("daemon", "status", "--json")
    found: dict = json.loads(outcome.out)
    assert outcome.code == (0 if found["state"] == "ok" else 1)
    return found


def eventually[T](found: Callable[[], T | None], within: float = 120.0) -> T:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {within} s: {status()}")


def well() -> dict:
    """What the status is once the proxy answers in time: a busy machine may keep it from that for a moment."""
    return eventually(lambda: found if (found := status())["state"] == "ok" else None)


def another(places: Places, before: DaemonState) -> DaemonState | None:
    state = read_state(places)
    return state if state and state.proxy_pid != before.proxy_pid and state.entry(places) else None


@pytest.mark.slow
def test_a_daemon_from_its_start_to_its_end(places: Places) -> None:
    assert status() == {"state": "stopped", "words": "no daemon has been started", "fix": "codemie-proxy daemon start"}

    # It outlives the terminal it was started from.
    # On a port that nobody else gets while the proxy is away.
    command = [*COMMAND, "daemon", "start", TARGET, "--port", str(closed_port())]
    shell = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r}, check=True); print('up'); input()"],
        env=environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert shell.stdout is not None
    said = shell.stdout.readline()
    first = known(places)
    assert said == f"The proxy runs in the background (pid {first.pid}): {first.url}  ->  reverse:{TARGET}\n"
    assert "up\n" in iter(shell.stdout.readline, "")
    os.killpg(shell.pid, signal.SIGHUP)
    shell.communicate()
    assert httpx.get(f"{first.url}/health", trust_env=False).json()["status"] == "ok"

    again = run("daemon", "start", TARGET, "--port", "0")
    assert (again.code, again.out.partition(":")[0]) == (0, f"The proxy runs already (pid {first.pid})")
    other = run("daemon", "start", "https://b.example", "--port", str(first.port), "--no-watch")
    assert other.code == 1
    assert "TARGET is http://127.0.0.1:9, not https://b.example; --watch is on, not off" in other.err

    found = well()
    assert (found["state"], found["pid"], found["port"], found["watched"]) == ("ok", first.pid, first.port, True)
    assert (found["mode"], found["health"]["status"]) == ([f"reverse:{TARGET}"], "ok")
    shown = eventually(lambda: out if (out := run("daemon", "status").out).startswith("ok\n") else None)
    assert shown.startswith(f"ok\nserves     {first.url}  ->  reverse:{TARGET}\n")

    # A killed proxy comes back on its port by itself.
    os.kill(first.proxy_pid, signal.SIGKILL)
    second = eventually(lambda: another(places, first))
    assert (second.port, second.pid) == (first.port, first.pid)
    assert httpx.get(f"{second.url}/health", trust_env=False).status_code == 200
    found = well()
    assert (found["restarts"], found["trouble"]) == (1, "it was ended by SIGKILL")

    assert run("daemon", "restart").code == 0
    third = known(places)
    assert (third.port, third.order.target, third.pid != first.pid) == (first.port, TARGET, True)
    assert not second.lives
    logged = run("daemon", "logs").out
    assert "daemon: the proxy is started anew in 1 s: it was ended by SIGKILL" in logged
    assert f"{first.url}  ->  {TARGET}" in logged

    assert run("daemon", "stop").out == f"Ended (it listened on port {first.port})\n"
    assert not third.lives
    assert not list(running_proxies(places))
    assert run("daemon", "stop").out == "There was no daemon to end.\n"


def test_one_that_cannot_start_says_why_and_leaves_nothing_behind(places: Places) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run("daemon", "start", TARGET, "--port", str(port))
    assert outcome.code == 1
    assert f"127.0.0.1:{port} is in use" in outcome.err
    assert not state_file(places).exists()
    assert status()["state"] == "stopped"
