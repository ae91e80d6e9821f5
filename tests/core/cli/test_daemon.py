"""The words of the commands; what they do is in core/daemon and process/test_daemon.py."""

import json
import os
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


def test_status_names_the_state_and_the_fix_and_ends_with_1_when_it_is_not_ok(places: Places) -> None:
    outcome = call("daemon", "status")
    assert (outcome.code, outcome.out) == (
        1,
        "stopped: no daemon has been started\nfix        codemie-proxy daemon start\n",
    )


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
