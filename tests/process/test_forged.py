"""Programs that tests start as forks (support/forged.py) do what new processes do."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from support import forged
from support.proxy import ADDONS

SELF = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "folder": os.getcwd(), "environ": dict(os.environ), "name": __name__,
    "original": sys.orig_argv[1:], "bytecode": sys.dont_write_bytecode, "main": sys.modules["__main__"].__name__,
    "signals": [str(signal.getsignal(one)) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)],
    "streams": [
        [one.encoding, one.errors, one.line_buffering, one.fileno()] for one in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "open": sorted(os.listdir("/proc/self/fd")), "session": os.getsid(0) == os.getpid(), "group": os.getpgid(0),
}, sort_keys=True))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A module `shows`, in a folder of its own."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "shows.py").write_text(SELF)
    return folder


@pytest.mark.parametrize("arguments", [["-m", "shows", "a"], ["-c", SELF, "a"]], ids=["module", "code"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_fork_finds_what_a_new_process_finds(arguments: Sequence[str], unbuffered: str, program: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(program), "PYTHONUNBUFFERED": unbuffered, "X": "ü\udcff"}
    del env["CODEMIE_KEYRING"]
    command = [sys.executable, *arguments]
    new, fork = (forged.run(command, env, fresh, cwd=program) for fresh in (True, False))
    assert (fork.returncode, fork.stderr) == (0, "")
    assert fork.stdout == new.stdout


def test_a_fork_of_a_script_is_called_as_the_script_is(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "mitmdump"), "--listen-port", "0", "--set", f"confdir={tmp_path}"]
    with forged.start(command, {**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        assert psutil.Process(process.pid).name() == "mitmdump"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


ENDS = {
    "pass": 0,
    "sys.exit(3)": 3,
    "sys.exit(True)": 1,
    "sys.exit('a reason')": 1,
    "sys.exit(256 + 7)": 7,
    "raise ValueError('x')": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "os.abort()": -signal.SIGABRT,
    "atexit.register(print, 'at exit'); threading.Timer(0.1, print, ['timer']).start(); print('main')": 0,
    "print('kept in the buffer'); os._exit(4)": 4,
}


@pytest.mark.parametrize("program", ENDS)
def test_a_fork_ends_as_a_new_process_ends(program: str) -> None:
    command = [sys.executable, "-c", f"import atexit, os, signal, sys, threading\n{program}"]
    new, fork = (forged.run(command, fresh=fresh) for fresh in (True, False))
    assert (fork.returncode, fork.stdout) == (new.returncode, new.stdout)
    assert fork.returncode == ENDS[program]
    assert fork.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]


WAITING = [sys.executable, "-c", "import sys; print('here', flush=True); print(sys.stdin.read())"]


def test_a_fork_is_signaled_waited_for_and_spoken_to_like_a_child() -> None:
    with forged.start(WAITING, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.communicate("typed", timeout=60) == ("typed\n", "")
        assert process.returncode == 0
    with forged.start(WAITING, stdin=subprocess.PIPE) as process:
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        assert not psutil.pid_exists(process.pid)
        process.kill()


def test_a_fork_has_the_terminal_it_is_given() -> None:
    person, side = pty.openpty()
    code = "open('/dev/tty', 'w').write('on it'); import os, sys; sys.exit(0 if os.getsid(0) == os.getpid() else 9)"
    with forged.start([sys.executable, "-c", code], stdin=side, stdout=side, stderr=side, terminal=True) as process:
        assert process.wait(60) == 0, os.read(person, 4096)
    assert os.read(person, 100) == b"on it"
    for number in (person, side):
        os.close(number)


ORDERING = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support import forged
process = forged.start([sys.executable, "-c", "import time; time.sleep(600)"])
print(forged._forge()._process.pid, process.pid, flush=True)
sys.stdin.read()
"""


def test_with_the_process_that_ordered_it_a_fork_ends() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ORDERING], stdin=pipe, stdout=pipe, text=True) as ordering:
        assert ordering.stdout is not None
        family = [psutil.Process(int(number)) for number in ordering.stdout.readline().split()]
        ordering.kill()
    assert psutil.wait_procs(family, timeout=60)[1] == []


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "LANG", "MITMPROXY_SSLKEYLOGFILE", "TERMINAL_WIDTH"])
def test_what_is_read_at_the_start_alone_is_read_by_a_new_process(name: str) -> None:
    command = [sys.executable, "-c", "import sys; print('mitmproxy' in sys.modules)"]
    assert forged.run(command).stdout == "True\n"
    assert forged.run(command, {**os.environ, name: "77"}).stdout == "False\n"
    assert forged.run(command, fresh=True).stdout == "False\n"


def test_a_folder_with_a_start_of_its_own_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('first')")
    assert forged.run([sys.executable, "-c", ""], {**os.environ, "PYTHONPATH": str(tmp_path)}).stdout == "first\n"


def test_nothing_of_ours_is_there_before_the_fork_loads_it() -> None:
    shown = forged.run([sys.executable, "-c", "import sys; print(*sys.modules)"]).stdout.split()
    ours = {path.stem for path in ADDONS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert "codemie_core" in ours
    assert {name.partition(".")[0] for name in shown} & {*ours, "support"} == set()
