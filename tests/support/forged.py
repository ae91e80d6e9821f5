"""Python programs as forks of a process that has imported the third-party libraries: what tests start by the hundred.

A Python that imports mitmproxy, SQLAlchemy, pydantic and their like spends one to two seconds of a processor on that,
before a line of ours runs. So each pytest process has one support/forge.py beside it, which imports them once; a
`Forged` is a fork of it that becomes the program ordered: arguments, environment, folder, descriptors, signal handlers
and search path are those of a new process, then the real program runs, and loads all of our own modules anew.

What a fork does not show: that a library is not imported, or only later (all count as imported); arguments and
environment as /proc has them (the parent's); figures of memory (half of it is shared); the last step of the
interpreter's end, when modules are taken apart (left out). Tests about those ask for `fresh` processes. A process is
also started fresh, without being asked, whose environment holds something else than pytest's of what Python and the
libraries read while they start, or where the libraries are not to be forked: anywhere but on Linux.
"""

from __future__ import annotations

import atexit
import functools
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.forge import Order

_READ_EARLY: tuple[str, ...] = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "COVERAGE_")
_READ_EARLY += ("MITMPROXY_", "SSLKEYLOG", "TEXTUAL", "TYPER_", "_TYPER_", "TERMINAL_WIDTH", "PY_COLORS", "FORCE_COLOR")
_READ_EARLY += ("GITHUB_ACTIONS",)
"""Beginnings of the names of variables that count at a start alone."""
_HONORED = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
"""Those of them that a forked child obeys."""

# A session's first terminal becomes its controlling one only when somebody asks for it.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\nos.execvp(sys.argv[1], sys.argv[1:])\n"
)
_STARTING = threading.Lock()

# What Popen gives the step that makes the child.
_GIVEN = """
args executable preexec_fn close_fds pass_fds cwd env startupinfo creationflags shell p2cread p2cwrite c2pread c2pwrite
errread errwrite restore_signals gid gids uid umask start_new_session process_group
""".split()  # noqa: SIM905  # twenty-three lines as a list


def start(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    terminal: bool = False,
) -> subprocess.Popen[str]:
    """Start `python -m MODULE ...`, `python -c CODE ...` or a Python script; the three standard ones as Popen has them.

    `terminal`: in a session of its own, whose terminal standard input is.
    """
    streams: dict[str, Any] = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    streams |= {"text": True, "errors": "replace", "start_new_session": terminal}
    environ = os.environ if env is None else env
    if fresh or sys.platform != "linux" or not _same_start(command, environ):
        taking = [sys.executable, "-c", _TAKE_TERMINAL] if terminal else []
        return subprocess.Popen([*taking, *command], env=env, cwd=cwd, **streams)
    return Forged(command, environ, cwd, terminal, **streams)


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
    timeout: float = 120.0,
    typed: str | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """`start` and wait for the end, as subprocess.run does it; `typed` comes through a pipe."""
    stdin = subprocess.DEVNULL if typed is None else subprocess.PIPE
    with start(command, env, fresh, cwd, stdin) as process:
        try:
            out, err = process.communicate(typed, timeout)
        except BaseException:  # also Ctrl-C: nobody else ends it
            process.kill()
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


class Forged(subprocess.Popen[str]):
    """A fork with the face of Popen, whose inner steps that know of a child are overridden here."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None, terminal: bool, **streams: Any
    ) -> None:
        self._terminal, self._said = terminal, b""
        super().__init__(command, env=env, cwd=cwd, **streams)

    def _execute_child(self, *given: Any) -> None:
        told = dict(zip(_GIVEN, given, strict=True))
        wanted = Order(
            [os.fspath(one) for one in told["args"]],
            dict(told["env"]),
            os.fspath(told["cwd"] or os.getcwd()),
            told["start_new_session"],
            self._terminal,
        )
        pipes = [told[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        standard = [number if given == -1 else given for number, given in enumerate(pipes)]
        self._report = _forge().order(wanted, standard)
        self.pid = self._next(None) or 0
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(told[name] for name in ends))  # type: ignore[attr-defined]  # of Popen's own

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        lock = self._waitpid_lock  # type: ignore[attr-defined]  # of Popen's own
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                self._ask(0)
            finally:
                lock.release()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        lock = self._waitpid_lock  # type: ignore[attr-defined]  # of Popen's own
        ends = None if timeout is None else time.monotonic() + timeout
        if lock.acquire(timeout=-1 if timeout is None else timeout):
            try:
                self._ask(None if ends is None else ends - time.monotonic())
            finally:
                lock.release()
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _ask(self, timeout: float | None) -> None:
        """Take the exit code, if it comes in time."""
        if self.returncode is None and (status := self._next(timeout)) is not None:
            self.returncode = os.waitstatus_to_exitcode(status)
            self._report.close()

    def _next(self, timeout: float | None) -> int | None:
        """The next number that the forge reports, or None when it does not come in time."""
        if not select.select([self._report], [], [], None if timeout is None else max(0.0, timeout))[0]:
            return None
        told = self._report.recv(64)
        assert told, "the forge has ended: no child of it can be started or waited for"
        return int(told)


class _Forge:
    """The process beside this one, and the socket that is its life."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, str(Path(__file__).with_name("forge.py")), str(number)]
            # A search path of ours is not that of what is ordered; each order has its own.
            env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._process = subprocess.Popen(command, env=env, pass_fds=[number], stdin=subprocess.DEVNULL)
        self.environ = dict(os.environ)
        atexit.register(self._end)

    def order(self, wanted: Order, standard: list[int]) -> socket.socket:
        """Order a child; where its process id and then its end are reported."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._control, [wanted.encoded()], [theirs.fileno(), *standard])
        return ours

    def _end(self) -> None:
        self._control.close()
        self._process.wait(60)


@functools.cache
def _only() -> _Forge:
    return _Forge()


def _forge() -> _Forge:
    with _STARTING:  # two threads may come first at once
        return _only()


def _same_start(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a new Python would start as the forge has."""
    program = Path(command[0])
    ours = command[0] == sys.executable or program.parent == Path(sys.executable).parent
    known = command[0] != sys.executable or command[1] in ("-m", "-c")
    early = {name for name in {*environ, *_forge().environ} if name.startswith(_READ_EARLY)} - _HONORED
    folders = environ.get("PYTHONPATH", "").split(os.pathsep)
    return (
        ours
        and known
        and all(environ.get(name) == _forge().environ.get(name) for name in early)
        and not any(Path(folder, "sitecustomize.py").exists() for folder in folders if folder)
    )
