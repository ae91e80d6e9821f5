"""The words of the commands; what they do is in core/daemon and process/test_daemon.py."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.daemon import control
from codemie_core.daemon.journal import Journal
from codemie_core.places import Places
from support import stand_in
from support.cli import call
from support.proxy import ADDONS


@pytest.fixture
def places(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ADDONS), str(ADDONS.parent / "tests"))))
    monkeypatch.setattr(control, "SUPERVISOR", stand_in.SUPERVISOR)
    monkeypatch.setattr(control.look, "__defaults__", (30.0,))
    home = Places(codemie_home)
    yield home
    control.stop(home)


def test_what_follows_the_dashes_is_the_proxys(places: Places) -> None:
    outcome = call("daemon", "start", "https://a.example", "--port", "0", "--", "--set", "codemie_hosts=b.example")
    assert outcome.code == 0, outcome.err
    assert "The proxy runs in the background" in outcome.out
    found = json.loads(call("daemon", "status", "--json").out)
    assert found["asked"] == {
        "target": "https://a.example",
        "regular": False,
        "profile": "",
        "listen_host": "127.0.0.1",
        "port": 0,
        "watch": True,
        "retarget": [],
        "passed_on": ["--set", "codemie_hosts=b.example"],
        "folder": os.getcwd(),
    }
    assert (found["state"], found["words"], found["fix"], found["restarts"]) == ("ok", "ok", None, 0)


def test_the_line_that_leads_an_agent_there_finds_a_proxy_of_either_kind(places: Places) -> None:
    assert "  codemie-proxy run claude " in call("daemon", "start", "https://a.example", "--port", "0").out
    control.stop(places)
    outcome = call("daemon", "start", "--regular", "--port", "0")
    assert "  codemie-proxy run --via https-proxy claude " in outcome.out, outcome.err


def test_status_names_the_state_and_the_fix_and_ends_with_1_when_it_is_not_ok(places: Places) -> None:
    outcome = call("daemon", "status")
    assert (outcome.code, outcome.out) == (
        1,
        "stopped: no daemon has been started\nfix        codemie-proxy daemon start\n",
    )


def test_a_start_that_finds_one_which_serves_nobody_ends_with_1(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "END_SECONDS", 0.2)
    monkeypatch.setattr(control, "_GRACE", 0.2)
    assert call("daemon", "start", "https://a.example", "--port", "0").code == 0
    state = control.look(places).state
    assert state is not None
    for pid in (state.pid, state.proxy_pid):
        os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(control.look, "__defaults__", (0.3,))
    outcome = call("daemon", "start", "https://a.example", "--port", "0")
    assert outcome.code == 1
    assert "The proxy runs already" in outcome.out
    assert "it is unhealthy: /health does not answer within 0.3 s; codemie-proxy daemon restart" in outcome.err


def test_who_waits_for_open_requests_is_told_of_those_that_are_cut(places: Places) -> None:
    assert call("daemon", "start", "https://a.example", "--port", "0").code == 0
    (places.home / "behavior").write_text("busy")
    outcome = call("daemon", "restart", "--wait", "0.1")
    assert (outcome.code, "2 requests are still open, and are cut" in outcome.err) == (0, True)
    assert "The proxy runs again" in outcome.out
    (places.home / "behavior").write_text("well")
    outcome = call("daemon", "stop", "--wait", "5")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_open_requests_are_waited_for_unless_it_is_to_be_now(command: str, places: Places) -> None:
    assert call("daemon", "start", "https://a.example", "--port", "0").code == 0
    behavior = places.home / "behavior"
    behavior.write_text("busy")
    ending = threading.Timer(0.5, behavior.write_text, ("well",))
    ending.start()
    outcome = call("daemon", command)
    assert (outcome.code, outcome.err) == (0, "2 requests are open: waiting, 10 s at most (--now does not)\n")
    assert ending.finished.is_set()
    call("daemon", "start", "https://a.example", "--port", "0")
    behavior.write_text("busy")
    outcome = call("daemon", command, "--now")
    assert (outcome.code, outcome.err) == (0, "2 requests are still open, and are cut\n")


def test_logs_are_what_it_printed_and_cannot_steer_a_terminal(places: Places) -> None:
    assert "There is nothing" in call("daemon", "logs").err
    file = Journal(places).open()
    os.write(file, b"one\ntwo \x1b[2J\n")
    os.close(file)
    assert call("daemon", "logs").out == "one\ntwo \\x1b[2J\n"
    assert call("daemon", "logs", "-n", "1").out == "two \\x1b[2J\n"


def test_logs_can_be_followed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Journal(places).open()
    os.write(file, b"one\n")

    def write_and_end(seconds: float) -> None:
        if seconds == 0:
            raise SystemExit(0)
        os.write(file, b"two\n")

    monkeypatch.setattr("time.sleep", write_and_end)
    assert call("daemon", "logs", "-f").out == "one\ntwo\n"
    os.close(file)
