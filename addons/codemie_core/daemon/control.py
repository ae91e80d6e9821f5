"""Starting, ending and asking the daemon of a CodeMie home. One command at a time changes it."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codemie_core.daemon.journal import Journal
from codemie_core.daemon.order import Order, require_no_secret
from codemie_core.daemon.probe import SECONDS, probe
from codemie_core.daemon.state import DaemonState, read_state, remove_state, write_state
from codemie_core.daemon.supervisor import END_SECONDS, UP_SECONDS
from codemie_core.errors import CodemieError, SettingsError
from codemie_core.launch.own_proxy import with_sources
from codemie_core.places import Places
from codemie_core.running import RunningProxy, process_started

SUPERVISOR = (sys.executable, "-P", "-m", "codemie_core.daemon.supervisor")
LOCK_SECONDS = UP_SECONDS + 2 * END_SECONDS
_GRACE = 3.0
"""Seconds the supervisor has beyond those it gives the proxy."""
_SAID = 12
"""Lines of the log that are shown when it does not come up."""

Condition = Literal["ok", "unhealthy", "dead-socket", "stopped"]


class NotServing(CodemieError):
    """The daemon did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the daemon is. `fix` is what to do about it; "" when there is nothing to do."""

    condition: Condition
    words: str
    fix: str = ""
    state: DaemonState | None = None
    entry: RunningProxy | None = None
    health: Mapping[str, Any] | None = None


def look(places: Places, seconds: float = SECONDS) -> Look:
    """Ask how it is. A process is not enough: its proxy has to answer /health."""
    state = read_state(places)
    if state is None:
        return Look("stopped", "no daemon has been started", "codemie-proxy daemon start")
    if not state.lives:
        return Look("stopped", _end_of(state), "codemie-proxy daemon restart", state)
    entry = state.entry(places)
    if entry is None:
        what = f"being started anew ({state.trouble})" if state.trouble else "being started"
        fix = "wait some seconds; codemie-proxy daemon logs"
        return Look("unhealthy", what if state.watched else "its proxy is not up", fix, state)
    answer = probe(entry.addresses[0] if entry.addresses else "127.0.0.1:0", seconds, entry.run_id)
    if answer.state == "ok":
        unwatched = state.order.watch and not state.watched
        words = f"{answer.words}, but what would start it anew is gone" if unwatched else answer.words
        fix = "codemie-proxy daemon restart" if unwatched else ""
        return Look("ok", words, fix, state, entry, answer.health)
    return Look(answer.state, answer.words, "codemie-proxy daemon restart", state, entry, answer.health)


def start(places: Places, order: Order, environ: Mapping[str, str], folder: Path | None = None) -> tuple[Look, bool]:
    """Start it, and wait until it serves; False: it runs already as ordered, which need not mean that it serves.

    SettingsError when one runs that was ordered otherwise, NotServing when it does not come up.
    """
    require_no_secret(order)
    with _alone(places):
        state = read_state(places)
        if state is not None and state.lives:
            if differences := state.order.differences(order, state.port):
                raise SettingsError(
                    f"a daemon runs already (pid {state.pid}), and otherwise: {'; '.join(differences)}. "
                    "codemie-proxy daemon stop ends it"
                )
            return _settled(places), False
        return _start(places, order, environ, folder), True


def quiet(places: Places, seconds: float, say: Callable[[int], None] = lambda _: None) -> int:
    """Wait until no request is open, for so long at most; how many are open then, as far as the proxy tells.

    `say` hears how many are waited for, whenever that changes.
    """
    deadline, told = time.monotonic() + seconds, 0
    while True:
        still = _open_requests(look(places).health)
        if not still or time.monotonic() >= deadline:
            return still
        if still != told:
            say(still)
            told = still
        time.sleep(0.2)


def stop(places: Places) -> DaemonState | None:
    """End it, by force after a while; what it was, or None when there was none."""
    with _alone(places):
        state = read_state(places)
        alive = state is not None and state.lives
        if state is not None:
            _stop(places, state)
        return state if alive else None


def restart(places: Places, environ: Mapping[str, str]) -> Look:
    """End it and start it with the same arguments on the same port, even when nothing is left of it but its file."""
    with _alone(places):
        state = read_state(places)
        if state is None:
            raise SettingsError("there is no daemon to start anew; codemie-proxy daemon start begins one")
        _stop(places, state)
        folder = Path(state.folder)
        port = state.port or state.order.port
        order = dataclasses.replace(state.order, port=port)
        try:
            return _start(places, order, environ, folder if folder.is_dir() else None)
        except BaseException:
            # Ctrl-C too: with it the arguments would be gone, and the next `restart` had none.
            with suppress(SettingsError):
                write_state(places, dataclasses.replace(state, gave_up=True, trouble="it did not come up again"))
            raise


def _start(places: Places, order: Order, environ: Mapping[str, str], folder: Path | None) -> Look:
    journal = Journal(places)
    output = journal.open()
    before = journal.size()
    command = [*SUPERVISOR, json.dumps(dataclasses.asdict(order))]
    env = {
        **_outside(environ),
        "CODEMIE_HOME": str(places.home),
        "PYTHONPATH": with_sources(environ),
        "PYTHONUNBUFFERED": "1",
    }
    try:
        # A session of its own: it outlives the terminal.
        process = subprocess.Popen(
            command,
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as problem:
        raise NotServing(f"The daemon cannot be started: {problem.strerror}.") from None
    finally:
        os.close(output)
    try:
        return _up(places, process, journal, before)
    except BaseException:
        # Ctrl-C too: what nobody waited for would be a surprise.
        if process.poll() is None:
            process.terminate()
            _wait(process)
        _stop_of(places, process.pid)
        raise


def _outside(environ: Mapping[str, str]) -> Mapping[str, str]:
    """In an agent's shell HTTPS_PROXY leads to that agent's proxy, which may end before this one does."""
    # Only here: it knows the agents, and what they need.
    from codemie_core.launch.nesting import outer_run

    outer = outer_run(environ)
    return outer.undone(environ) if outer else environ


def _up(places: Places, process: subprocess.Popen[bytes], journal: Journal, before: int) -> Look:
    deadline = time.monotonic() + UP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(places)
        # The port is known to the supervisor a moment after the proxy is in the register.
        if state is not None and state.pid == process.pid and state.port and state.entry(places):
            found = look(places)
            if found.condition == "ok":
                return found
        time.sleep(0.05)
    said = "\n".join(journal.since(before).strip().splitlines()[-_SAID:])
    if process.poll() is None:
        raise NotServing(f"The daemon does not come up within {UP_SECONDS:g} s. It said, in {journal.file}:\n{said}")
    raise NotServing(f"The daemon did not come up. It said, in {journal.file}:\n{said}")


def _settled(places: Places) -> Look:
    """How it is; one that is just being started anew is waited for."""
    began = time.monotonic()
    while True:
        found = look(places)
        # One that is just ending answers badly for a moment.
        patience = UP_SECONDS if found.entry is None else _GRACE
        unwatched = found.state is None or not found.state.watched
        if found.condition == "ok" or unwatched or time.monotonic() - began >= patience:
            return found
        time.sleep(0.05)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS + _GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stop_of(places: Places, pid: int) -> None:
    state = read_state(places)
    if state is not None and state.pid == pid:
        _stop(places, state)


def _stop(places: Places, state: DaemonState) -> None:
    # The supervisor ends its proxy; what a dead one left behind is ended here.
    _end(state.pid, state.process_started, END_SECONDS + _GRACE)
    _end(state.proxy_pid, state.proxy_process_started, END_SECONDS)
    remove_state(places)


def _end(pid: int, started: str, seconds: float) -> None:
    """SIGTERM, and SIGKILL when that process is still there so many seconds later."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, _GRACE)):
        if pid <= 0 or not started or process_started(pid) != started:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while process_started(pid) == started and time.monotonic() < deadline:
            time.sleep(0.05)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Of two commands at once the second waits. SettingsError when it waits too long."""
    places.ensure_private(places.proxy)
    descriptor = _lock_file(places.proxy / "daemon.lock")
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise SettingsError("another `codemie-proxy daemon` command has not ended yet; try again when it has")
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        # One that is there will do on a disk that can only be read: what runs has to be ended all the same.
        with suppress(OSError):
            if path.is_file():
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise SettingsError(
            f"{path} cannot be written ({problem.strerror}); make it writable or set CODEMIE_HOME to another folder"
        ) from None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_requests(health: Mapping[str, Any] | None) -> int:
    try:
        # The question for its health is one of them.
        still = int((health or {})["counters"]["exchanges"]["open"]) - 1
    except (KeyError, TypeError, ValueError):
        return 0
    return max(0, still - _idle_sockets(health or {}))


def _idle_sockets(health: Mapping[str, Any]) -> int:
    """WebSockets on which nobody waits for an answer: Codex holds one as long as it runs, and connects again."""
    try:
        known = {addon["name"]: addon["details"] for addon in health["addons"]}
        return int(known["websocket_guard"]["idle"])
    except (KeyError, TypeError, ValueError):
        return 0


def _end_of(state: DaemonState) -> str:
    if state.gave_up:
        return f"given up: {state.trouble}"
    return "it was killed, or the machine was started anew"
