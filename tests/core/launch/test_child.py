import contextlib
import fcntl
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.launch.child import Child, NotRun
from support.cli import environ
from support.terminal import Terminal

RUN = "import os, sys; from codemie_core.launch.child import Child; code = Child().run(sys.argv[1:], os.environ); "
OURS = (sys.executable, "-c", f"{RUN}print('ended', code, flush=True); sys.exit(code)")
PYTHON = (sys.executable, "-c")
# In short naps: a signal that comes just before a long one would be heard of after it.
WAITS = "import itertools, time; print('up', flush=True); [time.sleep(0.05) for _ in itertools.count()]"


def script(lines: str) -> tuple[str, ...]:
    return (*OURS, *PYTHON, lines)


@contextlib.contextmanager
def started(lines: str) -> Iterator[subprocess.Popen[str]]:
    """Without a terminal; the agent says `up` when it is ready."""
    process = subprocess.Popen(
        script(lines),
        env=environ(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize(
    "lines, code",
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_it_ends_as_the_agent_does(lines: str, code: int) -> None:
    assert Child().run((*PYTHON, lines), os.environ) == code


def test_the_agent_gets_the_environment_that_is_given_and_no_more(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    lines = f"import os; open({str(seen)!r}, 'w').write(os.environ.get('HERE', '-') + os.environ.get('THERE', '-'))"
    os.environ["THERE"] = "there"
    try:
        Child().run((*PYTHON, lines), {"HERE": "here"})
    finally:
        del os.environ["THERE"]
    assert seen.read_text() == "here-"


@pytest.mark.parametrize("name, mode, code", [("missing", None, 127), ("plain", 0o644, 126)])
def test_what_cannot_be_started_has_the_code_a_shell_would_give_it(
    tmp_path: Path, name: str, mode: int | None, code: int
) -> None:
    path = tmp_path / name
    if mode is not None:
        path.touch(mode)
    with pytest.raises(NotRun, match=f"{name} cannot be started") as raised:
        Child().run((str(path),), os.environ)
    assert raised.value.code == code


def test_signals_of_ours_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    Child().run((*PYTHON, "pass"), os.environ)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGQUIT])
def test_signals_are_passed_on_where_no_terminal_does(number: signal.Signals) -> None:
    with started(WAITS) as process:
        os.kill(process.pid, number)
        assert process.wait(60) == 128 + number


def test_how_it_ended_is_known_where_the_ends_of_children_are_ignored() -> None:
    lines = f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); {RUN}print('ended', code)"
    command = [sys.executable, "-c", lines, *PYTHON, "import sys; sys.exit(3)"]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ended 3\n"


def test_a_signal_the_agent_handles_is_its_own_business() -> None:
    with started(f"import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); {WAITS}") as process:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 7


# By a descriptor: a signal that comes just before a blocking read would be heard of after it.
COUNTS = """
import os, select, signal, sys
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
signal.signal(signal.SIGINT, lambda *_: None)
print('tty', *(int(one.isatty()) for one in (sys.stdin, sys.stdout, sys.stderr)), flush=True)
times = 0
while woken in select.select([0, woken], [], [])[0]:
    times += len(os.read(woken, 16))
    print('interrupted', times, flush=True)
print('got', sys.stdin.readline(), flush=True)
"""


def test_ctrl_c_reaches_the_agent_once_and_us_not_at_all() -> None:
    with Terminal(script(COUNTS), environ()) as terminal:
        terminal.wait_for("tty 1 1 1\n")
        for times in range(1, 6):
            terminal.type("\x03")
            terminal.wait_for(f"interrupted {times}\n")
        terminal.type("typed\n")
        terminal.wait_for("got typed\n")
        assert terminal.wait() == 0
        assert "interrupted 6" not in terminal.screen
        assert "ended 0" in terminal.screen
        assert "Traceback" not in terminal.screen


def test_an_agent_that_ctrl_c_ends_leaves_us_to_clean_up() -> None:
    with Terminal(script(WAITS), environ()) as terminal:
        terminal.wait_for("up\n")
        terminal.type("\x03")
        terminal.wait_for("ended 130\n")
        assert terminal.wait() == 130


def test_the_agent_sees_a_new_size_of_its_window() -> None:
    told = "lambda *_: print('size', *os.get_terminal_size(), flush=True)"
    lines = f"import os, signal; signal.signal(signal.SIGWINCH, {told}); {WAITS}"
    with Terminal(script(lines), environ()) as terminal:
        terminal.wait_for("up\n")
        fcntl.ioctl(terminal.program, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        terminal.wait_for("size 111 33\n")


def test_a_terminal_that_a_killed_agent_left_raw_is_put_back() -> None:
    lines = "import os, signal, sys, tty; tty.setraw(sys.stdin); os.kill(os.getpid(), signal.SIGKILL)"
    with Terminal(script(lines), environ()) as terminal:
        terminal.wait_for("ended 137\n")
        assert terminal.echoes


def test_one_that_is_killed_in_the_background_does_not_leave_us_stopped() -> None:
    shell = ("bash", "--norc", "--noprofile", "-i")
    with Terminal(shell, environ(PS1="ready> ", PATH=os.environ["PATH"])) as terminal:
        terminal.wait_for("ready> ")
        terminal.type(
            f"{shlex.join(script('import time; print(chr(117) + chr(112), flush=True); time.sleep(60)'))} &\n"
        )
        terminal.wait_for("up\n")
        terminal.type("kill %1\n")
        terminal.wait_for("ended 143\n")


def test_a_closed_standard_file_is_the_null_device_for_the_agent() -> None:
    lines = "from codemie_core.launch.child import open_standard_files; open_standard_files(); " + OURS[-1]
    agent = "import os; null = os.stat(os.devnull); print(*(os.path.samestat(os.fstat(n), null) for n in range(3)))"
    command = f"import os, sys; {lines}"
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&- 2>&-', "bash", sys.executable, "-c", command, *PYTHON, agent],
        env=environ(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.stdout == "True False True\nended 0\n"


GOES_ON = "import os, signal, time\nsignal.signal(signal.SIGCONT, lambda *_: print('goes on', flush=True))\n"
BY_KEY = f"{GOES_ON}print('up', flush=True)\nwhile True: time.sleep(0.1)"
BY_ITSELF = f"{GOES_ON}print('up', flush=True)\nos.kill(os.getpid(), signal.SIGTSTP)\nwhile True: time.sleep(0.1)"


@pytest.mark.parametrize("lines, key", [(BY_KEY, "\x1a"), (BY_ITSELF, "")], ids=["by Ctrl-Z", "by the agent itself"])
def test_a_stopped_agent_gives_the_shell_back_and_fg_goes_on(tmp_path: Path, lines: str, key: str) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(lines)
    ours = tmp_path / "ours"
    ours.write_text(f"#!{sys.executable}\n{RUN}print('ended', code)\nsys.exit(code)\n")
    ours.chmod(0o755)
    shell = ("bash", "--norc", "--noprofile", "-i")
    with Terminal(shell, environ(PS1="ready> ", PATH=os.environ["PATH"])) as terminal:
        terminal.wait_for("ready> ")
        terminal.type(f"{ours} {sys.executable} {agent}\n")
        terminal.wait_for("up\n")
        terminal.type(key)
        terminal.wait_for("Stopped")
        terminal.type("echo from the $((1+1))nd shell\n")
        terminal.wait_for("from the 2nd shell")
        terminal.type("fg\n")
        terminal.wait_for("goes on\n")
        terminal.type("\x03")
        terminal.wait_for("ended 130\n")
        assert terminal.screen.count("Stopped") == 1
        terminal.type("echo code $?\n")
        terminal.wait_for("code 130")
