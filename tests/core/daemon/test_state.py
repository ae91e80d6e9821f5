import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codemie_core.daemon.order import Order
from codemie_core.daemon.state import DaemonState, read_state, remove_state, state_file, write_state
from codemie_core.places import Places
from codemie_core.running import RunningProxy, process_started, this_process, write_entry


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home")


def state(**changed: object) -> DaemonState:
    pid, started = this_process()
    order = Order("https://a.example", passed_on=("-w", "flows"))
    made = DaemonState(pid, started, 1.0, order, "/somewhere", 8123, pid, started)
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type] # fields of it, by name


def gone() -> int:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        return process.pid


def test_it_is_read_as_it_was_written_and_by_nobody_else(places: Places) -> None:
    write_state(places, state())
    assert read_state(places) == state()
    assert state_file(places).stat().st_mode & 0o777 == 0o600
    remove_state(places)
    remove_state(places)
    assert read_state(places) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"order": 1}', '{"pid": 1, "order": {"nonsense": []}}'])
def test_what_cannot_be_read_is_no_daemon(places: Places, text: str) -> None:
    places.ensure_private(places.proxy)
    state_file(places).write_text(text)
    assert read_state(places) is None


def test_what_a_newer_version_says_more_is_passed_over(places: Places) -> None:
    write_state(places, state())
    found = json.loads(state_file(places).read_text())
    found["order"]["moon"] = found["phase"] = "full"
    state_file(places).write_text(json.dumps(found))
    assert read_state(places) == state()


def test_a_process_counts_only_while_that_very_process_lives() -> None:
    assert state().watched
    assert state().serves
    assert not state(process_started="another start of this process id").watched
    assert not state(proxy_pid=gone()).serves
    assert not state(proxy_pid=0).serves
    assert state(proxy_pid=gone()).lives
    assert not state(process_started="", proxy_process_started="").lives


def test_what_was_killed_and_not_buried_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(process.pid)
    assert started
    process.kill()
    # Waits for its end and leaves it unburied.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not state(proxy_pid=process.pid, proxy_process_started=started).serves
    process.communicate()


def test_its_proxy_is_the_one_of_the_register(places: Places) -> None:
    pid, started = this_process()
    entry = RunningProxy("one", pid, started, 1.0, ("127.0.0.1:8123",), ("regular",), "1")
    assert state().entry(places) is None
    write_entry(places, entry)
    assert state().entry(places) == entry
    assert state(proxy_pid=gone()).entry(places) is None


@pytest.mark.parametrize(
    "host, url",
    [("127.0.0.1", "http://127.0.0.1:8123"), ("0.0.0.0", "http://127.0.0.1:8123"), ("::", "http://[::1]:8123")],
)
def test_its_url_is_for_clients_on_this_machine(host: str, url: str) -> None:
    assert state(order=Order(listen_host=host)).url == url


def test_its_arguments_name_the_port_it_has() -> None:
    assert state(order=Order(port=0)).arguments[2:4] == ("--port", "8123")
