"""A program in front of a person: on a terminal of its own, which it controls."""

from __future__ import annotations

import os
import pty
import re
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

from support import forged


class Terminal:
    """`with Terminal(command) as terminal`: `screen` is all it showed, both of its outputs and any echo."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command, self._env = command, env
        self._shown = bytearray()
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._person, self.program = pty.openpty()
        side = self.program
        self.process = forged.start(self._command, self._env, stdin=side, stdout=side, stderr=side, terminal=True)
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.program)
        self._watching.join(5)
        os.close(self._person)

    @property
    def screen(self) -> str:
        """What was shown up to now, with plain newlines."""
        return self._shown.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def echoes(self) -> bool:
        """Does it show what is typed?"""
        return bool(termios.tcgetattr(self.program)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        """Type or paste; as slowly as the terminal takes it."""
        data = text.encode()
        while data:
            data = data[os.write(self._person, data[:512]) :]

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Wait until the screen matches. TimeoutError with the screen."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := re.search(pattern, self.screen)):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{pattern!r} is not on the screen:\n{self.screen}")
        return found

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the end; the program's exit code, with everything on `screen`."""
        code = self.process.wait(timeout)
        # Our own marker, behind all that the program had written.
        os.write(self.program, b"\0")
        with self._changed:
            self._changed.wait_for(lambda: b"\0" in self._shown, timeout)
        return code

    def _watch(self) -> None:
        while True:
            try:
                data = os.read(self._person, 4096)
            except OSError:
                return
            if not data:
                return
            with self._changed:
                self._shown += data
                self._changed.notify_all()
