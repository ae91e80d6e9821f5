"""A proxy of our own that is started again, on the same port, when it ends while it is needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codemie_core.errors import CodemieError
from codemie_core.launch.own_proxy import OwnProxy
from codemie_core.places import Places
from codemie_core.running import RunningProxy

ATTEMPTS = 3
"""In a row. One that has served for a minute begins a new row."""
SERVED = 60.0
PAUSES = (0.2, 1.0, 3.0)
GONE = "the proxy has ended and does not come up again; what it said: {log}"


class KeptProxy:
    """Starts a proxy when made; `arguments` are those of `codemie-proxy start`, without a port.

    `told` is called once, from another thread, when there is nothing more that can be done.
    """

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        arguments: Sequence[str],
        log: Path,
        told: Callable[[str], None],
        passed_on: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self._places, self._environ, self._log, self._told = places, environ, log, told
        self._arguments, self._passed_on = arguments, passed_on
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None
        self.restarts = 0
        self.lost = False
        """Is it gone for good?"""
        self.port = port
        """Where it listens; known once it is up."""
        self._own = self._start(goes_on=False)

    def up(self) -> RunningProxy:
        """Wait until it serves, and watch it from then on. NotStarted, with what it said, when it does not."""
        entry = asyncio.run(self._own.up())
        self.port = next(int(port) for _, _, port in (one.rpartition(":") for one in entry.addresses))
        self._watch = threading.Thread(target=self._keep, name="kept proxy", daemon=True)
        self._watch.start()
        return entry

    def stop(self) -> None:
        """End it in good order."""
        with self._lock:
            self._ending.set()
        self._own.stop()
        if self._watch is not None:
            self._watch.join()

    def _start(self, goes_on: bool) -> OwnProxy:
        passed_on = ["--", *self._passed_on] if self._passed_on else []
        arguments = [*self._arguments, "--port", str(self.port), *passed_on]
        return OwnProxy(self._places, self._environ, arguments, self._log, goes_on)

    def _keep(self) -> None:
        attempts = 0
        while True:
            began = time.monotonic()
            self._own.ended()
            if time.monotonic() - began > SERVED:
                attempts = 0
            up = False
            while not up:
                if self._ending.is_set():
                    return
                if attempts == ATTEMPTS:
                    self.lost = True
                    self._told(GONE.format(log=self._log))
                    return
                up = self._again(attempts)
                attempts += 1

    def _again(self, attempts: int) -> bool:
        """Did it come up once more?"""
        self._ending.wait(PAUSES[min(attempts, len(PAUSES) - 1)])
        with self._lock:
            if self._ending.is_set():
                return False
            self._own.stop()  # It has ended, and leaves a descriptor.
            try:
                self._own = self._start(goes_on=True)
            except CodemieError:
                return False
        try:
            asyncio.run(self._own.up())
        except CodemieError:
            return False
        self.restarts += 1
        return True
