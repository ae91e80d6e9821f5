"""Real supervisors, with a stand-in for the proxy. With a real one: process/test_daemon.py."""

import errno
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codemie_core.daemon import control
from codemie_core.daemon.control import NotServing, look, quiet, restart, start, stop
from codemie_core.daemon.order import Order
from codemie_core.daemon.state import DaemonState, read_state, state_file
from codemie_core.demo.absent import closed_port
from codemie_core.errors import SettingsError
from codemie_core.launch.nesting import RUN
from codemie_core.places import Places
from codemie_core.running import running_proxies
from support import stand_in
from support.proxy import ADDONS

ORDER = Order("https://a.example", port=0)


@pytest.fixture
def places(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ADDONS), str(ADDONS.parent / "tests"))))
    monkeypatch.setattr(control, "SUPERVISOR", stand_in.SUPERVISOR)
    looks_for(monkeypatch, 30.0)
    home = Places(codemie_home)
    yield home
    state = read_state(home)
    stop(home)
    assert state is None or not state.lives


def looks_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long /health is waited for: long where it comes for certain, short where it does not."""
    monkeypatch.setattr(look, "__defaults__", (seconds,))


def started(places: Places, order: Order = ORDER) -> DaemonState:
    found, _ = start(places, order, os.environ)
    assert found.state is not None
    return found.state


def behave(places: Places, how: str) -> None:
    places.ensure_private(places.home)
    (places.home / "behavior").write_text(how)


def kill(places: Places, state: DaemonState, *pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not ((state.watched and state.pid in pids) or (state.serves and state.proxy_pid in pids)))


def eventually(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_where_there_is_none_it_is_stopped(places: Places) -> None:
    assert look(places).condition == "stopped"
    assert look(places).fix == "codemie-proxy daemon start"
    assert stop(places) is None


def test_it_serves_when_start_returns(places: Places) -> None:
    found, begun = start(places, ORDER, os.environ)
    assert begun
    assert (found.condition, found.words, found.fix) == ("ok", "ok", "")
    assert found.state is not None
    assert found.entry is not None
    assert found.entry.addresses == (f"127.0.0.1:{found.state.port}",)
    # A session of its own, and a file that nobody else can read.
    assert os.getsid(found.state.pid) == found.state.pid
    assert state_file(places).stat().st_mode & 0o777 == 0o600


def test_a_second_start_says_that_it_runs_or_what_is_different(places: Places) -> None:
    state = started(places)
    found, begun = start(places, ORDER, os.environ)
    assert (begun, found.state) == (False, state)
    with pytest.raises(SettingsError, match=r"TARGET is https://a\.example, not https://b\.example"):
        start(places, Order("https://b.example", port=0), os.environ)
    assert read_state(places) == state


def test_of_two_starts_at_once_one_wins_and_the_other_finds_it(places: Places) -> None:
    begun: list[bool] = []
    racers = [threading.Thread(target=lambda: begun.append(start(places, ORDER, os.environ)[1])) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(begun) == [False, False, True]
    assert len(list(running_proxies(places))) == 1


def test_who_waits_too_long_for_another_command_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOCK_SECONDS", 0.1)
    with control._alone(places), pytest.raises(SettingsError, match="has not ended yet"):
        stop(places)


def test_stop_ends_both_processes_and_forgets_them(places: Places) -> None:
    state = started(places)
    assert stop(places) == state
    assert not state.lives
    assert not state_file(places).exists()


def test_a_restart_keeps_port_arguments_and_folder(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(places, Order("https://a.example", port=0, passed_on=("-w", "flows.mitm")))
    folder = Path.cwd()
    monkeypatch.chdir(tmp_path)
    found = restart(places, os.environ)
    assert found.state is not None
    assert (found.state.port, found.state.order.passed_on) == (first.port, ("-w", "flows.mitm"))
    assert found.state.folder == str(folder)
    assert not first.lives


def test_open_requests_are_waited_for_and_no_longer_than_that(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quiet(places, 5) == 0
    started(places)
    assert quiet(places, 5) == 0
    behave(places, "busy")
    assert quiet(places, 0) == 2
    said: list[int] = []
    ending = threading.Timer(0.5, behave, (places, "well"))
    ending.start()
    assert quiet(places, 60, said.append) == 0
    assert (ending.finished.is_set(), said) == (True, [2])
    # Codex holds a WebSocket as long as it runs, and connects again.
    behave(places, "idle")
    assert quiet(places, 60, said.append) == 0
    assert said == [2]
    # Who tells nothing is not waited for.
    looks_for(monkeypatch, 0.3)
    for how in ("silent", "hang"):
        behave(places, how)
        assert quiet(places, 20) == 0
    behave(places, "well")


def test_nothing_can_be_started_anew_before_it_was_started(places: Places) -> None:
    with pytest.raises(SettingsError, match="daemon start begins one"):
        restart(places, os.environ)


def test_a_proxy_without_its_supervisor_serves_and_is_told_of(places: Places) -> None:
    state = started(places)
    kill(places, state, state.pid)
    found = look(places)
    assert found.condition == "ok"
    assert "what would start it anew is gone" in found.words
    assert found.fix == "codemie-proxy daemon restart"
    assert start(places, ORDER, os.environ)[1] is False
    assert stop(places) == state
    assert not state.serves


def test_what_is_left_of_a_killed_daemon_is_stopped_and_can_be_started_anew(places: Places) -> None:
    state = started(places)
    kill(places, state, state.pid, state.proxy_pid)
    found = look(places)
    assert (found.condition, found.fix) == ("stopped", "codemie-proxy daemon restart")
    again = restart(places, os.environ)
    assert again.state is not None
    assert again.state.port == state.port


def test_one_that_does_not_start_shows_what_it_said_and_leaves_nothing(places: Places) -> None:
    behave(places, "exit 3")
    with pytest.raises(NotServing, match=r"stand-in: https://a\.example[^\n]*\n.*it ended with 3"):
        start(places, ORDER, os.environ)
    assert read_state(places) is None


def test_a_restart_that_fails_keeps_the_arguments_for_the_next(places: Places) -> None:
    first = started(places)
    behave(places, "exit 3")
    with pytest.raises(NotServing):
        restart(places, os.environ)
    assert look(places).words == "given up: it did not come up again"
    behave(places, "well")
    again = restart(places, os.environ)
    assert again.state is not None
    assert again.state.port == first.port


def test_a_restart_that_is_interrupted_keeps_the_arguments_for_the_next(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(places)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(control, "_up", interrupted)
        with pytest.raises(KeyboardInterrupt):
            restart(places, os.environ)
    again = restart(places, os.environ)
    assert again.state is not None
    assert (again.state.port, again.state.order.target) == (first.port, first.order.target)


def test_a_start_waits_for_one_that_is_being_started_anew(places: Places) -> None:
    state = started(places)
    os.kill(state.proxy_pid, signal.SIGKILL)
    found, begun = start(places, ORDER, os.environ)
    assert (begun, found.condition) == (False, "ok")
    assert found.state is not None
    assert (found.state.pid, found.state.restarts) == (state.pid, 1)


def test_a_lock_that_cannot_be_made_is_told_with_what_helps(places: Places) -> None:
    places.ensure_private(places.proxy)
    (places.proxy / "daemon.lock").mkdir()
    with pytest.raises(SettingsError, match=r"daemon\.lock cannot be written .*set CODEMIE_HOME"):
        start(places, ORDER, os.environ)
    (places.proxy / "daemon.lock").rmdir()


def test_one_is_ended_though_the_disk_can_only_be_read(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    state = started(places)
    really = os.open

    def read_only(path: str, flags: int, *mode: int, **more: int) -> int:
        if str(path).startswith(str(places.home)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system")
        return really(path, flags, *mode, **more)

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        patched.setattr(Path, "unlink", unlink)
        assert stop(places) == state
    assert not state.lives


def test_one_that_does_not_come_up_in_time_is_ended(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(places, "hang")
    looks_for(monkeypatch, 0.3)
    monkeypatch.setattr(control, "UP_SECONDS", 2.0)
    with pytest.raises(NotServing, match="does not come up within 2 s"):
        start(places, ORDER, os.environ)
    assert read_state(places) is None


def test_a_process_that_answers_nobody_is_unhealthy_and_ended_by_force(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "END_SECONDS", 0.2)
    monkeypatch.setattr(control, "_GRACE", 0.2)
    state = started(places)
    os.kill(state.pid, signal.SIGSTOP)
    os.kill(state.proxy_pid, signal.SIGSTOP)
    found = look(places, seconds=0.3)
    assert (found.condition, found.fix) == ("unhealthy", "codemie-proxy daemon restart")
    stop(places)
    eventually(lambda: not state.lives)


def test_a_socket_that_somebody_else_has_taken_is_dead(places: Places) -> None:
    state = started(places)
    entry = next(running_proxies(places))
    path = places.run / f"{entry.run_id}.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "addresses": [f"127.0.0.1:{closed_port()}"]}))
    assert look(places).condition == "dead-socket"
    path.write_text(json.dumps({**found, "run_id": "another"}))
    assert look(places).condition == "dead-socket"
    assert state.lives


def test_a_password_is_refused_before_anything_is_written(places: Places) -> None:
    with pytest.raises(SettingsError, match="holds a password"):
        start(places, Order(passed_on=("--set", "proxyauth=ann:hunter2-planted")), os.environ)
    assert not places.proxy.exists()


def test_its_home_is_the_one_that_was_meant_wherever_it_runs(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "CODEMIE_HOME"}
    found, _ = start(places, ORDER, environ)
    assert found.state == read_state(places)


@pytest.mark.skipif(sys.platform != "linux", reason="reads another process's environment")
def test_it_takes_the_way_out_of_the_shell_and_not_that_of_an_agent_in_it(places: Places) -> None:
    """Where `run` or `env` has set HTTPS_PROXY to a proxy of ours, which may end before the daemon does."""
    before = {"HTTPS_PROXY": "http://proxy.example.com:3128", "SSL_CERT_FILE": None}
    mark = {"agent": "claude", "via": "https-proxy", "url": "http://127.0.0.1:1", "before": before, "depth": 1}
    environ = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:1", "SSL_CERT_FILE": "/ours", RUN: json.dumps(mark)}
    found, _ = start(places, ORDER, environ)
    assert found.state is not None
    lines = Path(f"/proc/{found.state.proxy_pid}/environ").read_text().split("\0")
    assert "HTTPS_PROXY=http://proxy.example.com:3128" in lines
    assert not [line for line in lines if line.startswith(("SSL_CERT_FILE=", f"{RUN}="))]


def test_a_port_that_is_taken_is_nobodys_restart(places: Places) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NotServing, match="Address already in use"):
        start(places, Order(port=taken.getsockname()[1]), os.environ)
    assert read_state(places) is None
