"""The process that stands behind a daemon: it starts the proxy, looks after it, and starts it anew when it fails.

`python -m codemie_core.daemon.supervisor ORDER`, an order as JSON. After a laptop's sleep, or a mishap of ours, a proxy
can be there as a process and serve nobody: so it is asked for its health, every ten seconds, which also is how soon a
wake-up is noticed. A restart keeps port and arguments. It sleeps in between; it imports nothing of mitmproxy.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from codemie_core.daemon.journal import Journal
from codemie_core.daemon.order import Order
from codemie_core.daemon.patience import Patience
from codemie_core.daemon.probe import probe
from codemie_core.daemon.state import DaemonState, read_state, remove_state, write_state
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import RunningProxy, process_started, running_proxies, this_process, write_entry

UP_SECONDS = 60.0
END_SECONDS = 15.0
HUNG_SECONDS = 5.0
"""As END_SECONDS, for one that answers nobody: agents wait for the next."""
LOOK_EVERY = 10.0
LOOK_AGAIN = 2.0
"""Seconds after a look that found nothing good."""
LOOK_SECONDS = 5.0
"""More than `status` waits: a proxy that is busy is left alone."""
# Not what a folder that we happen to stand in would have imported.
START = (sys.executable, "-P", "-m", "codemie_core.cli", "start")


class Alarm:
    """Waiting that ends early when a child ends or a signal comes."""

    def __init__(self) -> None:
        self.told = False
        """Are we to end?"""
        self._reading, writing = os.pipe()
        for descriptor in (self._reading, writing):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def wait(self, seconds: float) -> None:
        """So long, or until something happens."""
        if select.select([self._reading], [], [], max(0.0, seconds))[0]:
            os.read(self._reading, 1024)

    def _tell(self, *_: object) -> None:
        self.told = True


class Supervisor:
    """One daemon. `command` starts a proxy when `start`'s arguments follow it."""

    def __init__(
        self,
        places: Places,
        order: Order,
        command: Sequence[str],
        alarm: Alarm,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._command, self._alarm, self._clock = places, command, alarm, clock
        self._journal = Journal(places)
        self._patience = Patience()
        self._up_since: float | None = None
        """The proxy that runs now; None when it does not serve yet."""
        self._has_served = False
        self._known: RunningProxy | None = None
        """The one that runs now, as the register has it once it serves."""
        pid, started = this_process()
        self._state = DaemonState(pid, started, time.time(), order, _folder(), order.port)

    def run(self) -> int:
        """Until we are told to end (0), or the proxy fails too often, or at its very first start (1)."""
        while not self._alarm.told:
            trouble = self._served()
            if self._alarm.told:
                break
            wait = self._again(trouble)
            if wait is None:
                return 1
            self._rest(wait)
        found = read_state(self._places)
        if found is None or found.pid == self._state.pid:
            remove_state(self._places)
        return 0

    def _served(self) -> str:
        """One proxy, from its start to its end; why it ended."""
        self._up_since, self._known = None, None
        try:
            proxy = self._start()
        except (OSError, SettingsError) as problem:
            return f"it cannot be started: {problem}"
        try:
            return self._up(proxy) or self._watched(proxy)
        finally:
            self._end(proxy)

    def _start(self) -> subprocess.Popen[bytes]:
        output = self._journal.open()
        try:
            proxy = subprocess.Popen(
                [*self._command, *self._state.arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        finally:
            os.close(output)
        self._note(proxy_pid=proxy.pid, proxy_process_started=process_started(proxy.pid) or "")
        return proxy

    def _up(self, proxy: subprocess.Popen[bytes]) -> str:
        """Wait until it serves; what is wrong when it does not."""
        deadline = self._clock() + UP_SECONDS
        while not self._alarm.told and self._clock() < deadline:
            if proxy.poll() is not None:
                return _ending(proxy)
            if entry := self._entry(proxy):
                self._up_since, self._has_served, self._known = self._clock(), True, entry
                self._note(port=_port(entry) or self._state.port)
                return ""
            self._alarm.wait(0.1)
        return f"it does not come up within {UP_SECONDS:g} s"

    def _watched(self, proxy: subprocess.Popen[bytes]) -> str:
        """Look after it until it fails, which is said, or until we are told to end."""
        due = self._clock()
        while not self._alarm.told:
            if proxy.poll() is not None:
                return _ending(proxy)
            self._alarm.wait(due - self._clock())
            if self._clock() >= due and proxy.poll() is None:
                self._bound()
                self._stay_known(proxy)
                trouble = self._looked_at()
                if self._patience.seen(not trouble) and self._state.order.watch:
                    return f"it does not answer: {trouble}"
                due = self._clock() + (LOOK_AGAIN if trouble else LOOK_EVERY)
        return ""

    def _stay_known(self, proxy: subprocess.Popen[bytes]) -> None:
        """Who is in no file can be found by nobody, and so is never used, and never ended."""
        with suppress(OSError, SettingsError):
            found = read_state(self._places)
            # Of another daemon it is left alone; ours may be older than what a full disk did not take.
            if found is None or (found.pid == self._state.pid and found != self._state):
                write_state(self._places, self._state)
            if entry := self._entry(proxy):
                self._known = entry
            elif self._known:
                write_entry(self._places, self._known)

    def _looked_at(self) -> str:
        if self._known is None:
            return ""
        # Where it does not answer /health itself, its upstream would get a request that no agent has made.
        ask = self._known.answers_health
        found = probe(_address(self._known), LOOK_SECONDS, self._known.run_id, ask)
        return "" if found.state == "ok" else found.words

    def _again(self, trouble: str) -> float | None:
        """Seconds until the next start; None when there is none."""
        served = 0.0 if self._up_since is None else self._clock() - self._up_since
        # One that never served has somebody who waits for it, is told, and mends what is wrong.
        wait = self._patience.wait(served) if self._state.order.watch and self._has_served else None
        if wait is None:
            self._say(f"not started anew: {trouble}")
            self._note(trouble=trouble, gave_up=True)
        else:
            self._say(f"started anew in {wait:g} s: {trouble}")
            self._note(trouble=trouble, restarts=self._state.restarts + 1, restarted_at=time.time() + wait)
        return wait

    def _rest(self, seconds: float) -> None:
        until = self._clock() + seconds
        while not self._alarm.told and self._clock() < until:
            self._alarm.wait(until - self._clock())

    def _end(self, proxy: subprocess.Popen[bytes]) -> None:
        if proxy.poll() is None:
            proxy.terminate()
        try:
            proxy.wait(END_SECONDS if self._alarm.told else HUNG_SECONDS)
        except subprocess.TimeoutExpired:
            proxy.kill()
            proxy.wait()

    def _entry(self, proxy: subprocess.Popen[bytes]) -> RunningProxy | None:
        try:
            return next((one for one in running_proxies(self._places) if one.pid == proxy.pid), None)
        except (OSError, subprocess.SubprocessError):
            return self._known  # Nobody can look: no reason to end one that serves.

    def _note(self, **changed: object) -> None:
        self._state = dataclasses.replace(self._state, **changed)  # type: ignore[arg-type] # fields of it, by name
        try:
            write_state(self._places, self._state)
        except SettingsError as problem:
            # A full disk ends neither us nor the proxy.
            self._say(f"there, but nobody can see it: {problem}")

    def _bound(self) -> None:
        try:
            self._journal.bound()
        except (OSError, SettingsError) as problem:
            self._say(f"there, but its log grows: {problem}")

    def _say(self, words: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            descriptor = self._journal.open()
            try:
                os.write(descriptor, f"[{stamp}] daemon: the proxy is {words}\n".encode())
            finally:
                os.close(descriptor)
        except (OSError, SettingsError):
            return  # There is no other place to say it.


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""  # It was removed under us.


def _ending(proxy: subprocess.Popen[bytes]) -> str:
    code = proxy.returncode
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with {code}"


def _address(entry: RunningProxy) -> str:
    return entry.addresses[0] if entry.addresses else "127.0.0.1:0"


def _port(entry: RunningProxy) -> int:
    found = _address(entry).rpartition(":")[2]
    return int(found) if found.isdigit() else 0


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ, command: Sequence[str] = START) -> int:
    """Run it."""
    return Supervisor(Places.from_env(environ), Order.parse(json.loads(arguments[0])), command, Alarm()).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
