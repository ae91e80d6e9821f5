"""A proxy for as long as somebody needs it, or for longer when asked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from codemie_core.errors import CodemieError
from codemie_core.launch.lifeline import KEEP
from codemie_core.places import Places
from codemie_core.running import RunningProxy, running_proxies, write_entry

UP_SECONDS = 60.0
END_SECONDS = 15.0
_SOURCES = Path(__file__).parents[2]
_LAST_LINES = 6


class NotStarted(CodemieError):
    """The proxy did not come up; the message is what it said."""


class OwnProxy:
    """Starts it when made; `arguments` are those of `codemie-proxy start`. NotStarted when there is no such program."""

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        arguments: Sequence[str],
        log: Path | None = None,
        goes_on: bool = False,
    ) -> None:
        self._places = places
        self.log = log or places.proxy / "top.log"
        """What it prints: it has no terminal. With `goes_on` it follows what is there already."""
        if not goes_on:
            places.write_private(self.log, b"")
        reading, self._line = os.pipe()
        # -P: a file of the working folder that is called like one of our modules is not ours.
        command = [sys.executable, "-P", "-m", "codemie_core.launch.lifeline", str(reading)]
        command += ["start", "--quiet", *arguments]
        try:
            with self.log.open("ab") as output:
                # A session of its own: a hangup of the terminal is its starter's business.
                self._process = subprocess.Popen(
                    command,
                    env={**environ, "PYTHONPATH": with_sources(environ), "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(reading,),
                )
        except OSError as problem:
            os.close(self._line)
            raise NotStarted(f"A proxy cannot be started: {problem.strerror}.") from None
        finally:
            os.close(reading)
        self.kept = False

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Has it not ended yet?"""
        return self._process.poll() is None

    def ended(self) -> None:
        """Wait until it does."""
        self._process.wait()

    async def up(self, within: float = UP_SECONDS) -> RunningProxy:
        """Wait until it serves. NotStarted, with what it said, when it ends instead or takes too long."""
        deadline = asyncio.get_running_loop().time() + within
        while self.runs and asyncio.get_running_loop().time() < deadline:
            if found := next((one for one in running_proxies(self._places) if one.pid == self.pid), None):
                return found
            await asyncio.sleep(0.05)
        ended = not self.runs
        self.stop()
        said = self.log.read_text("utf-8", "replace").strip().splitlines()[-_LAST_LINES:]
        raise NotStarted("\n".join(said) if ended and said else f"The proxy does not come up; it said this: {self.log}")

    def keep(self) -> None:
        """Let it go on when we end."""
        if not self.kept and self.runs:
            os.write(self._line, KEEP)
            self.kept = True
            for entry in running_proxies(self._places):
                if entry.pid == self.pid:
                    write_entry(self._places, replace(entry, lent=False))

    def stop(self) -> None:
        """End it, unless it is kept, and wait for that."""
        if self._line >= 0:
            os.close(self._line)
            self._line = -1
        if self.kept:
            return
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def with_sources(environ: Mapping[str, str]) -> str:
    """It finds what we are made of, wherever that was found."""
    return os.pathsep.join(filter(None, (str(_SOURCES), environ.get("PYTHONPATH"))))
