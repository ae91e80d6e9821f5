"""The process that forks what support/forged.py orders. It has imported third-party libraries, and nothing of ours.

A message on the control socket is an order: JSON, and four descriptors (where to report to, then the three standard
ones). Reported are the process id and then the status as waitpid gives it, a message each. When the control socket
ends, this process ends, with all that it has forked.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import termios
import threading
import time
import types
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# What proxies and commands import sooner or later. Not nicegui: where it keeps its files it reads from the environment
# while it is imported, and the admin plane sets that.
LIBRARIES = (
    "alembic.command",
    "authlib.oauth2.rfc6749",
    "cryptography.hazmat.primitives.padding",
    "fastapi",
    "genai_prices.data_snapshot",
    "httpx",
    "mako",
    "mitmproxy.tools.dump",
    "mitmproxy.tools.main",
    "mitmproxy.tools.web.master",
    "msgspec.json",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.metrics",
    "opentelemetry.sdk.trace",
    "prometheus_client",
    "psycopg",
    "pydantic.dataclasses",
    "pydantic_settings",
    "rich.console",
    "rich.table",
    "ruamel.yaml",
    "socketio",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "starlette.testclient",
    "textual.app",
    "textual.widgets",
    "typer",
    "typer.rich_utils",
    "uvicorn",
)

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to become. `session`: a new one; `terminal`: with standard input as its controlling terminal."""

    arguments: list[str]
    environ: dict[str, str]
    folder: str
    session: bool = False
    terminal: bool = False

    def encoded(self) -> bytes:
        """As the control socket carries it."""
        return json.dumps(asdict(self)).encode()


def serve(control: socket.socket) -> tuple[Order, list[int]] | None:
    """Fork until nobody is left to order: None. In a child: its order and its standard descriptors."""
    reports: dict[int, socket.socket] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C is for pytest and for what is forked here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watched: list[Any] = [control, woken]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(reports)
        if control not in ready:
            continue
        received = _receive(control)
        if received is None:
            break
        order, (report, *standard) = received
        child = _fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            for number in (woken, wake, report, control.detach(), *(other.detach() for other in reports.values())):
                os.close(number)
            return order, standard
        for number in standard:
            os.close(number)
        reports[child] = socket.socket(fileno=report)
        _tell(reports[child], child)
    for child in reports:
        os.kill(child, signal.SIGKILL)
    return None


def _receive(control: socket.socket) -> tuple[Order, list[int]] | None:
    data, descriptors, _, _ = socket.recv_fds(control, MOST_BYTES, 4)
    return (Order(**json.loads(data)), list(descriptors)) if data else None


def _fork() -> int:
    # A lock that some thread holds now would stay locked in the child, forever.
    threads = max(threading.active_count(), len(os.listdir("/proc/self/task")))
    assert threads == 1, f"{threads} threads run here: one of the libraries starts them while it is imported"
    return os.fork()


def _reap(reports: dict[int, socket.socket]) -> None:
    while reports:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        _tell(reports[child], status)
        reports.pop(child).close()


def _tell(report: socket.socket, number: int) -> None:
    # Whoever ordered it may be gone.
    with contextlib.suppress(OSError):
        report.send(b"%d" % number)


def become(order: Order, standard: list[int]) -> None:
    """Do what lies between exec and the first line of a Python program."""
    if order.session:
        os.setsid()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if order.terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environ)
    time.tzset()
    tempfile.tempdir = None
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    _open_standard()


def _open_standard() -> None:
    """Objects for the standard descriptors, buffered as the environment and the kind of file demand."""
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before, raw = getattr(sys, name), io.FileIO(number, "w" if number else "r", closefd=False)
        buffer = raw if number and unbuffered else io.BufferedWriter(raw) if number else io.BufferedReader(raw)
        stream = io.TextIOWrapper(
            buffer,
            encoding=before.encoding,
            errors=before.errors,
            newline="\n" if number else None,
            line_buffering=not unbuffered and (number == 2 or raw.isatty()),
            write_through=bool(number) and unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(program: str, *arguments: str) -> None:
    """Run `python -m MODULE`, `python -c CODE` or a script, with its arguments, as __main__."""
    sys.orig_argv = [sys.executable, *([] if program == sys.executable else [program]), *arguments]
    if program != sys.executable:
        Path("/proc/self/comm").write_text(Path(program).name)
        sys.argv = [program, *arguments]
        sys.path.insert(0, str(Path(program).resolve().parent))
        _run_code(Path(program).read_text(), program)
    elif arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        _run_code(arguments[1], "<string>")


def _run_code(source: str, name: str) -> None:
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(source, name, "exec"), main.__dict__)  # noqa: S102  # a program runs what it is


def leave(end: SystemExit) -> None:
    """End as the interpreter does, but for taking all modules apart, which costs more than all the rest."""
    code = end.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    # The order of Py_FinalizeEx: threads, then what has asked to be called, then the buffers.
    threading._shutdown()  # type: ignore[attr-defined]  # private; waits for all threads but daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else 0 if code is None else 1)


def main() -> None:
    """Import, serve; in a child: become what was ordered."""
    control = socket.socket(fileno=int(sys.argv[1]))
    del sys.path[0]
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):  # not installed: no test of a forked process needs it
            importlib.import_module(library)
    gc.collect()
    gc.freeze()
    if (ordered := serve(control)) is None:
        return
    order, standard = ordered
    become(order, standard)
    try:
        run(*order.arguments)
    except SystemExit as end:
        leave(end)
    # Any other exception ends the interpreter in its own way: a traceback, or the signal of a Ctrl-C.
    leave(SystemExit())


if __name__ == "__main__":
    main()
