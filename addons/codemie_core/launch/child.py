"""The agent's process: it has the terminal, we only wait, hand signals on and end as it ends.

It stays in our process group, so that the terminal sends Ctrl-C, Ctrl-Z and changes of its size to it directly.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from codemie_core.errors import CodemieError

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""It sends these to the agent itself."""
_JOB_CONTROL = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_STDIN, _STDERR = 0, 2


class NotRun(CodemieError):
    """The program could not be started; `code` is what a shell would end with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """One run of a program on our own terminal."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        self._woken = -1
        """Has a byte to read for each signal."""

    def run(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Start it and wait for its end: its exit code, or 128 and the number of the signal that ended it.

        NotRun when it cannot be started. Only in the main thread: signals are handled.
        """
        terminal = _terminal_state()
        with self._signals():
            try:
                self._process = subprocess.Popen(command, env=dict(environ))
            except OSError as problem:
                code = 127 if isinstance(problem, FileNotFoundError) else 126
                raise NotRun(f"{command[0]} cannot be started: {problem.strerror}", code) from None
            for number in self._pending:
                self._send(number)
            code = self._wait(self._process)
        # It was killed and could not put back what it had changed. In the background this would stop us for good.
        if code > 128 and terminal is not None and has_terminal():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(_STDIN, termios.TCSADRAIN, terminal)
        return code

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while True:
            found, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
            if not found:
                # To wait for the agent alone would be to hear of a signal that comes just before that only afterwards.
                select.select([self._woken], [], [])
                os.read(self._woken, 1024)
            elif os.WIFSTOPPED(status):
                self._stopped(os.WSTOPSIG(status))
            else:
                # Else subprocess would look for a process that is no more.
                process.returncode = os.waitstatus_to_exitcode(status)
                return 128 - process.returncode if process.returncode < 0 else process.returncode

    def _stopped(self, number: int) -> None:
        """An agent that stops itself alone (as those do that read keys one by one) stops its job: the shell is next."""
        if number not in _JOB_CONTROL or not has_terminal():
            return
        if self._process is not None and _goes_on(self._process.pid):
            return
        os.kill(os.getpid(), number)
        # We are back, by `fg` or by hand; then so is it.
        self._send(signal.SIGCONT)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = dict.fromkeys(FORWARDED, self._forward) | dict.fromkeys(FROM_TERMINAL, self._from_terminal)
        # A handler of ours is back to the default in the child; what was ignored before us stays so, there too.
        before = {number: signal.getsignal(number) for number in handlers}
        ours = [number for number in handlers if before[number] is not signal.SIG_IGN]
        # Not even this one is ignored: then nobody could ask how the agent has ended.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        former = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in ours:
            signal.signal(number, handlers[number])
        try:
            yield
        finally:
            for number in (*ours, signal.SIGCHLD):
                signal.signal(number, before[number])
            signal.set_wakeup_fd(former)
            os.close(self._woken)
            os.close(wake)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._pending.append(number)
        else:
            self._send(number)

    def _from_terminal(self, number: int, frame: FrameType | None) -> None:
        if not has_terminal():
            self._forward(number, frame)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def open_standard_files() -> None:
    """Put the null device where standard input, output or error is closed: else a pipe of ours takes its number, and
    whoever we start takes that pipe for what it reads or writes.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def has_terminal() -> bool:
    """Are we in the foreground of a terminal, whatever stdin is?"""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _goes_on(pid: int) -> bool:
    """Did both of us stop, and was the whole job continued?"""
    return os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOHANG) is not None


def _terminal_state() -> list[Any] | None:
    try:
        return termios.tcgetattr(_STDIN)
    except termios.error:
        return None
