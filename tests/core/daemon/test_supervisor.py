"""The supervisor in a thread, with a stand-in for the proxy; its signals and its command line are in process/."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codemie_core.daemon import patience, probe, supervisor
from codemie_core.daemon.journal import Journal
from codemie_core.daemon.order import Order
from codemie_core.daemon.state import DaemonState, read_state, state_file, write_state
from codemie_core.daemon.supervisor import Supervisor
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import RunningProxy
from support import stand_in
from support.proxy import ADDONS

TESTS = ADDONS.parent / "tests"


class Bell:
    """Stands in for the alarm: rung by the test, not by a signal."""

    def __init__(self) -> None:
        self.told = False
        self._rung = threading.Event()

    def wait(self, seconds: float) -> None:
        self._rung.wait(min(max(0.0, seconds), 0.02))

    def ring(self) -> None:
        self.told = True
        self._rung.set()


class Ward:
    """One supervisor at work."""

    def __init__(self, home: Path) -> None:
        self.places = Places(home)
        self.bell = Bell()
        self.code: int | None = None
        self._thread: threading.Thread | None = None

    def begin(self, order: Order) -> None:
        made = Supervisor(self.places, order, stand_in.COMMAND, self.bell)  # type: ignore[arg-type] # as an alarm does
        self._thread = threading.Thread(target=lambda: setattr(self, "code", made.run()))
        self._thread.start()

    def behave(self, how: str) -> None:
        self.places.ensure_private(self.places.home)
        (self.places.home / "behavior").write_text(how)

    def until[T](self, found: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if value := found():
                return value
            time.sleep(0.01)
        raise AssertionError(f"{read_state(self.places)}\n{self.said}")

    def up(self, but: int = 0) -> DaemonState:
        """Its state once a proxy serves, another one than that of this process id."""

        def serving() -> DaemonState | None:
            state = read_state(self.places)
            entry = state.entry(self.places) if state and state.proxy_pid != but else None
            return state if state and entry and entry.addresses == (f"127.0.0.1:{state.port}",) else None

        return self.until(serving)

    def end(self) -> int | None:
        self.bell.ring()
        return self.wait()

    def wait(self) -> int | None:
        if self._thread:
            self._thread.join(60)
            assert not self._thread.is_alive()
        return self.code

    @property
    def said(self) -> str:
        return Journal(self.places).since(0)


@pytest.fixture
def ward(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ADDONS), str(TESTS))))
    monkeypatch.setattr(supervisor, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(supervisor, "LOOK_AGAIN", 0.05)
    monkeypatch.setattr(patience, "WAITS", (0.01, 0.02, 0.03))
    one = Ward(codemie_home)
    yield one
    one.end()


def test_it_starts_the_proxy_with_the_arguments_and_ends_it_in_good_order(ward: Ward) -> None:
    ward.begin(Order("https://a.example", port=0))
    state = ward.up()
    assert "stand-in: https://a.example --listen-host 127.0.0.1 --port 0 --quiet --" in ward.said
    assert ward.end() == 0
    assert not state.serves
    assert not state_file(ward.places).exists()


def test_a_killed_proxy_is_back_on_the_same_port(ward: Ward) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    os.kill(first.proxy_pid, signal.SIGKILL)
    second = ward.up(but=first.proxy_pid)
    assert (second.port, second.restarts) == (first.port, 1)
    assert second.trouble == "it was ended by SIGKILL"
    assert "daemon: the proxy is started anew in 0.01 s: it was ended by SIGKILL" in ward.said


def test_one_that_hangs_is_ended_and_started_anew(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    with monkeypatch.context() as hasty:
        hasty.setattr(supervisor, "LOOK_SECONDS", 0.2)
        ward.behave("hang")
        ward.until(lambda: not first.serves)
        ward.behave("well")
    second = ward.up(but=first.proxy_pid)
    assert second.port == first.port
    assert second.trouble == "it does not answer: /health does not answer within 0.2 s"


def test_one_whose_upstream_would_answer_for_its_health_is_not_asked(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []

    def noted(address: str, seconds: float, run_id: str, ask: bool) -> probe.Answer:
        looks.append(ask)
        return probe.probe(address, seconds, run_id, ask)

    monkeypatch.setattr(supervisor, "probe", noted)
    ward.behave("silent")
    ward.begin(Order(port=0))
    first = ward.up()
    ward.until(lambda: len(looks) > patience.MISSES + 2)
    assert not any(looks)
    assert not (ward.places.home / "asked").exists()
    assert first.serves
    os.kill(first.proxy_pid, signal.SIGKILL)
    ward.behave("well")
    assert ward.up(but=first.proxy_pid).restarts == 1
    ward.until(lambda: looks[-1])


def test_one_that_was_taken_out_of_the_register_serves_on_and_is_entered_again(ward: Ward) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    # As who looks from another container does, where this process id is somebody else's.
    for path in ward.places.run.iterdir():
        path.unlink()
    ward.until(lambda: first.entry(ward.places))
    assert read_state(ward.places) == first


def test_a_register_that_cannot_be_looked_at_ends_nobody(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    looks: list[Places] = []

    def broken(places: Places) -> Iterator[RunningProxy]:
        looks.append(places)
        raise PermissionError("run/")

    monkeypatch.setattr(supervisor, "running_proxies", broken)
    ward.until(lambda: len(looks) > patience.MISSES + 2)
    assert first.lives


def test_what_a_full_disk_did_not_take_is_told_once_there_is_room(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.begin(Order(port=0))
    first = ward.up()

    def full(*_: object) -> None:
        raise SettingsError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(supervisor, "write_state", full)
        os.kill(first.proxy_pid, signal.SIGKILL)
        ward.until(lambda: ward.said.count("stand-in:") == 2)
        (ward.places.home / "asked").unlink(missing_ok=True)
        ward.until((ward.places.home / "asked").exists)
    second = ward.up(but=first.proxy_pid)
    assert (second.restarts, second.entry(ward.places) is None) == (1, False)


@pytest.mark.parametrize("what", ["", "{"])
def test_a_state_that_was_removed_or_damaged_is_written_again(what: str, ward: Ward) -> None:
    """Else it could be found by nobody, and so not be ended."""
    ward.begin(Order(port=0))
    first = ward.up()
    state_file(ward.places).write_text(what)
    ward.until(lambda: read_state(ward.places) == first)
    state_file(ward.places).unlink()
    ward.until(lambda: read_state(ward.places) == first)


def test_the_state_of_another_daemon_is_left_where_it_is(ward: Ward) -> None:
    ward.begin(Order(port=0))
    other = dataclasses.replace(ward.up(), pid=1)
    write_state(ward.places, other)
    assert ward.end() == 0
    assert read_state(ward.places) == other


def test_a_log_that_cannot_be_opened_is_given_up_on_in_good_order(ward: Ward) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    Journal(ward.places).file.unlink()
    Journal(ward.places).file.mkdir()
    os.kill(first.proxy_pid, signal.SIGKILL)
    assert ward.wait() == 1
    state = read_state(ward.places)
    assert state is not None
    assert (state.gave_up, "daemon.log cannot be written" in state.trouble) == (True, True)


def test_one_that_is_stopped_in_its_tracks_is_killed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HUNG_SECONDS", 0.1)
    ward.begin(Order(port=0))
    first = ward.up()
    with monkeypatch.context() as hasty:
        hasty.setattr(supervisor, "LOOK_SECONDS", 0.2)
        os.kill(first.proxy_pid, signal.SIGSTOP)
        ward.until(lambda: not first.serves)
    second = ward.up(but=first.proxy_pid)
    assert second.port == first.port


def test_after_three_restarts_in_a_row_it_gives_up_and_says_why(ward: Ward) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    ward.behave("exit 3")
    os.kill(first.proxy_pid, signal.SIGKILL)
    assert ward.wait() == 1
    state = read_state(ward.places)
    assert state is not None
    assert (state.gave_up, state.restarts, state.trouble) == (True, 3, "it ended with 3")
    assert ward.said.count("started anew in") == 3
    assert "not started anew: it ended with 3" in ward.said


def test_one_that_never_served_is_not_started_anew(ward: Ward) -> None:
    ward.behave("exit 3")
    ward.begin(Order(port=0))
    assert ward.wait() == 1
    assert ward.said.count("stand-in:") == 1


def test_one_that_does_not_come_up_is_ended(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "UP_SECONDS", 0.05)
    ward.begin(Order(port=0))
    assert ward.wait() == 1
    assert "it does not come up within 0.05 s" in ward.said


def test_without_watching_it_only_waits_for_the_end(ward: Ward) -> None:
    ward.begin(Order(port=0, watch=False))
    first = ward.up()
    os.kill(first.proxy_pid, signal.SIGKILL)
    assert ward.wait() == 1
    assert "not started anew: it was ended by SIGKILL" in ward.said


def test_the_log_stays_small(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "Journal", lambda places: Journal(places, largest=1000))
    ward.begin(Order(port=0))
    ward.up()
    Journal(ward.places).file.write_bytes(b"noise\n" * 1000)
    ward.until(lambda: Journal(ward.places).size() == 0)
    assert Journal(ward.places).older.read_bytes() == b"noise\n" * 166


def test_a_state_that_cannot_be_written_ends_nothing(ward: Ward) -> None:
    ward.begin(Order(port=0))
    first = ward.up()
    state_file(ward.places).unlink()
    state_file(ward.places).mkdir()
    os.kill(first.proxy_pid, signal.SIGKILL)
    ward.until(lambda: "there, but nobody can see it" in ward.said)
    ward.until(lambda: ward.said.count("stand-in:") == 2)
    state_file(ward.places).rmdir()
