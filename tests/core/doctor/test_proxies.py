import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codemie_core.daemon.control import look
from codemie_core.daemon.order import Order
from codemie_core.daemon.probe import probe
from codemie_core.daemon.state import DaemonState, write_state
from codemie_core.demo.absent import closed_port
from codemie_core.doctor import proxies
from codemie_core.places import Places
from codemie_core.running import RunningProxy, process_started, running_proxies, this_process, write_entry
from support import stand_in
from support.cli import environ
from support.patient import levels, surroundings, told
from support.proxy import ADDONS


def looks_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long /health is waited for: long where it comes for certain, short where it does not."""
    monkeypatch.setattr(probe, "__defaults__", (seconds, *(probe.__defaults__ or ())[1:]))
    monkeypatch.setattr(look, "__defaults__", (seconds,))


@pytest.fixture
def running(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningProxy]:
    """A stand-in for a proxy."""
    looks_for(monkeypatch, 30.0)
    paths = os.pathsep.join((str(ADDONS), str(ADDONS.parent / "tests")))
    command = [*stand_in.COMMAND, "--port", "0"]
    with subprocess.Popen(command, env={**environ(), "PYTHONPATH": paths}, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not (found := list(running_proxies(Places(codemie_home)))):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield found[0]
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def port_of(one: RunningProxy) -> int:
    return proxies.ports(one)[0]


def test_where_nothing_runs_nothing_is_wrong(codemie_home: Path) -> None:
    around = replace(surroundings(codemie_home), port=closed_port())
    assert told(proxies.port(around)) == [("ok", f"port {around.port} is free")]
    assert told(proxies.register(around)) == [("ok", "no proxy runs")]
    assert told(proxies.daemon(around)) == [("ok", "no daemon has been started")]


def test_a_port_is_ours_anothers_or_a_strangers(
    running: RunningProxy, codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = port_of(running)
    assert levels(proxies.port(replace(surroundings(codemie_home), port=port))) == ["ok"]
    (found,) = proxies.port(replace(surroundings(tmp_path / "other" / ".codemie"), port=port))
    assert (found.level, "another CodeMie home" in found.what) == ("note", True)
    assert str(running.pid) in found.what or sys.platform != "linux"
    looks_for(monkeypatch, 0.3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (found,) = proxies.port(replace(surroundings(codemie_home), port=taken.getsockname()[1]))
    assert (found.level, found.fix) == ("warning", "codemie-proxy start --port 0 takes a free one")


def test_an_admin_port_of_ones_own_that_is_taken_is_told(codemie_home: Path) -> None:
    assert list(proxies.admin_port(surroundings(codemie_home))) == []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        around = surroundings(codemie_home, CODEMIE_ADMIN_SERVER_PORT=str(wanted))
        (found,) = proxies.admin_port(around)
        assert (found.level, found.fix) == ("warning", "export CODEMIE_ADMIN_SERVER_PORT=0    (takes a free one)")
        assert f"codemie_admin_server_port: port {wanted} is held by another program" in found.what
        # The proxy that has it may.
        entry = RunningProxy("one", *this_process(), 1.0, ("127.0.0.1:1",), ("regular",), "1", admin_port=wanted)
        write_entry(Places(codemie_home), entry)
        (found,) = proxies.admin_port(surroundings(codemie_home, CODEMIE_ADMIN_SERVER_PORT=str(wanted)))
        assert found.level == "ok"
    config = Places(codemie_home).config
    config.write_text(f"admin_server:\n  port: {closed_port()}\n")
    assert levels(proxies.admin_port(surroundings(codemie_home))) == ["ok"]


def test_a_port_that_only_root_may_have_is_held_by_nobody(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    (found,) = proxies.port(replace(surroundings(codemie_home), port=443))
    assert (found.level, found.what) == ("warning", "port 443 cannot be had: Permission denied")


def test_a_file_of_the_register_is_named_so_that_a_shell_understands_it(tmp_path: Path) -> None:
    home = tmp_path / "my home" / ".codemie"
    Places(home).ensure_private(Places(home).run)
    odd = Places(home).run / "odd.json"
    odd.write_text("{")
    *_, found = proxies.register(surroundings(home))
    subprocess.run(["sh", "-c", found.fix], check=True)
    assert not odd.exists()


def test_a_proxy_that_runs_and_one_that_only_seems_to(
    running: RunningProxy, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{running.addresses[0]} (pid {running.pid})"
    assert told(proxies.register(surroundings(codemie_home))) == [("ok", f"{where} serves")]
    looks_for(monkeypatch, 0.3)
    os.kill(running.pid, signal.SIGSTOP)
    (found,) = proxies.register(surroundings(codemie_home))
    assert (found.level, found.what.startswith(f"{where}: unhealthy")) == ("problem", True)
    # A plain one does not reach a process that is stopped.
    assert found.fix == f"kill {running.pid}; kill -9 {running.pid}; then start it anew"


def test_what_killed_proxies_left_behind_is_told_and_what_cannot_be_read_is_named(codemie_home: Path) -> None:
    places = Places(codemie_home)
    write_entry(places, RunningProxy("gone", 999999, "1", 1.0, ("127.0.0.1:1",), ("regular",), "1"))
    (places.run / "odd.json").write_text("{")
    assert told(proxies.register(surroundings(codemie_home))) == [
        ("ok", "no proxy runs"),
        ("note", "1 entry of a proxy that was killed has been removed"),
        ("warning", f"{places.run / 'odd.json'} cannot be read"),
    ]


def test_a_daemon_that_serves_and_one_that_does_not(
    running: RunningProxy, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(codemie_home)
    started = process_started(running.pid) or ""
    own = os.getpid()
    state = DaemonState(own, process_started(own) or "", 1.0, Order(), "", port_of(running), running.pid, started)
    write_state(places, state)
    assert told(proxies.daemon(surroundings(codemie_home))) == [("ok", f"the daemon serves at {state.url}")]
    # Its supervisor would only start it anew when it is killed.
    looks_for(monkeypatch, 0.3)
    os.kill(running.pid, signal.SIGSTOP)
    (found,) = proxies.register(surroundings(codemie_home))
    assert (found.level, found.fix) == ("problem", "codemie-proxy daemon restart")
    os.kill(running.pid, signal.SIGCONT)
    path = places.run / f"{running.run_id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "addresses": [f"127.0.0.1:{closed_port()}"]}))
    (found,) = proxies.daemon(surroundings(codemie_home))
    assert (found.level, found.what.partition(":")[0]) == ("problem", "the daemon is dead-socket")
    assert found.fix == "codemie-proxy daemon restart"
