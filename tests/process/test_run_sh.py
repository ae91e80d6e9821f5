"""run.sh as a user meets it: without a network, so a scripted interpreter stands in for Python and pip.

The real install is what brought this very test run about (./run.sh test).
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.checkout import INTERPRETER, OLD_INTERPRETER, Checkout, alive, wait_for, write_script


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def killed_at_the_end() -> Iterator[Callable[[subprocess.Popen[str]], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def keep(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        started.append(process)
        return process

    yield keep
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # ended by itself, as it should
        process.communicate()


@pytest.mark.parametrize("args", [(), ("help",), ("--help",), ("-h",)])
def test_usage_names_every_command_and_installs_nothing(checkout: Checkout, args: tuple[str, ...]) -> None:
    status, out, _ = checkout.run(*args)
    assert status == 0
    for command in ("start", "demo", "dump", "web", "test", "check", "bench"):
        assert f"\n  {command} " in out
    assert not checkout.venv.exists()


def test_unknown_command_is_named_before_anything_is_installed(checkout: Checkout) -> None:
    checkout.add_python()
    status, out, err = checkout.run("strat")
    assert (status, out) == (2, "")
    assert "unknown command: strat" in err
    assert "Usage:" in err
    assert not checkout.venv.exists()


def test_no_fitting_python_names_what_was_tried_and_three_ways_out(checkout: Checkout) -> None:
    checkout.add_python("python3", OLD_INTERPRETER)
    status, out, err = checkout.run("start")
    assert (status, out) == (1, "")
    assert "no Python 3.12 or newer found" in err
    assert "pyenv" in err.split("Any one of these helps")[0]
    assert err.count("\n           - ") == 3
    assert not checkout.venv.exists()


def test_codemie_python_that_does_not_fit_is_an_error_rather_than_ignored(checkout: Checkout) -> None:
    checkout.add_python()
    old = checkout.add_python("old-python", OLD_INTERPRETER)
    status, _, err = checkout.run("start", CODEMIE_PYTHON=str(old))
    assert status == 1
    assert f"CODEMIE_PYTHON={old} is not a Python 3.12 or newer" in err


def test_an_interpreter_that_is_too_old_is_passed_over(checkout: Checkout) -> None:
    checkout.add_python("python3.13", OLD_INTERPRETER)
    fitting = checkout.add_python("python3")
    status, out, _ = checkout.run("version")
    assert (status, out) == (0, "<codemie-proxy><version>")
    assert (checkout.venv / "bin/python").read_text() == fitting.read_text()


def test_the_interpreter_running_this_test_is_accepted(checkout: Checkout) -> None:
    status, _, err = checkout.run("version", CODEMIE_PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_RETRIES="0")
    # Nothing can be installed from no index; what counts is how far it came.
    assert status == 1
    assert "environment made" in err
    assert "the install failed" in err


@pytest.mark.parametrize("named_by", ["PYENV_ROOT", "HOME", "shim on PATH"])
def test_highest_pyenv_version_is_found(checkout: Checkout, tmp_path: Path, named_by: str) -> None:
    home = tmp_path / "empty-home"
    root = home / ".pyenv" if named_by == "HOME" else tmp_path / "pyenv"
    for version in ("3.9.18", "3.11.7"):
        write_script(root / "versions" / version / "bin/python", OLD_INTERPRETER)
    for version in ("3.12.1", "3.13.0"):
        write_script(root / "versions" / version / "bin/python", INTERPRETER.replace("3.13.9", version))
    if named_by == "PYENV_ROOT":
        checkout.env["PYENV_ROOT"] = str(root)
    if named_by == "shim on PATH":
        write_script(root / "shims/python3.13", "#!/usr/bin/env bash\necho 'pyenv: not found' >&2\nexit 127\n")
        checkout.env |= {"PATH": f"{root / 'shims'}:{checkout.bin}", "HOME": ""}
    status, out, err = checkout.run("version")
    assert (status, out) == (0, "<codemie-proxy><version>")
    assert "Python 3.13.0" in err


def test_arguments_pass_through_untouched(checkout: Checkout) -> None:
    checkout.add_python()
    status, out, _ = checkout.run("start", "--help", "two words", "*", "")
    assert status == 0
    assert out == "<codemie-proxy><start><--help><two words><*><>"


def test_works_from_another_folder_and_through_a_chain_of_symlinks(checkout: Checkout, tmp_path: Path) -> None:
    checkout.add_python()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "absolute").symlink_to(checkout.root / "run.sh")
    (elsewhere / "relative").symlink_to("absolute")
    status, out, _ = checkout.run("dump", "-q", script=elsewhere / "relative", cwd=elsewhere)
    assert status == 0
    assert out == f"<mitmdump><-s><{checkout.root}/addons/codemie.py><--listen-host><127.0.0.1><-q>"
    assert checkout.venv.is_dir()
    assert {path.name for path in elsewhere.iterdir()} == {"absolute", "relative"}


def test_web_keeps_streams_caps_flows_and_opens_no_browser(checkout: Checkout) -> None:
    checkout.add_python()
    _, out, _ = checkout.run("web", "--web-port", "0")
    for expected in (
        "<--listen-host><127.0.0.1>",
        "<--set><store_streamed_bodies=true>",
        "<--set><codemie_kept_flows=500>",
        "<--no-web-open-browser>",
    ):
        assert expected in out
    assert out.endswith("<--web-port><0>")


@pytest.mark.parametrize("args", [("--set", "listen_host=0.0.0.0"), ("--set=listen_host=0.0.0.0",)])
def test_listen_host_given_as_an_option_is_not_overruled(checkout: Checkout, args: tuple[str, ...]) -> None:
    checkout.add_python()
    _, out, _ = checkout.run("dump", *args)
    assert "--listen-host" not in out


def test_second_start_installs_nothing_and_says_nothing(checkout: Checkout) -> None:
    checkout.add_python()
    _, _, first = checkout.run("version")
    status, out, second = checkout.run("version")
    assert "installed after" in first
    assert (status, out, second) == (0, "<codemie-proxy><version>", "")
    assert checkout.installs() == 1


def test_development_tools_come_only_when_they_are_needed(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.run("version")
    extras = "admin,cli,fast,keyring,oauth,postgres,prices,store,telemetry,top"
    assert checkout.calls.read_text().endswith(f"[{extras}]\n")
    status, out, _ = checkout.run("test", "-k", "sse")
    assert (status, out) == (0, "<python><-m><pytest><-k><sse>")
    assert checkout.calls.read_text().endswith(f"[{extras},dev]\n")
    checkout.run("version")
    assert checkout.installs() == 2


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_into_the_same_environment(checkout: Checkout, name: str) -> None:
    checkout.add_python()
    checkout.run("version")
    kept = checkout.venv / "kept"
    kept.touch()
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    checkout.run("version")
    assert checkout.installs() == 2
    assert kept.exists()


def test_moved_checkout_gets_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.add_python()
    checkout.run("version")
    (checkout.venv / "kept").touch()
    moved = checkout.root.rename(tmp_path / "moved")
    status, out, _ = checkout.run("version", script=moved / "run.sh", cwd=moved)
    assert (status, out) == (0, "<codemie-proxy><version>")
    assert not (moved / ".venv/kept").exists()


@pytest.mark.parametrize(
    "log, hint",
    [
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "PIP_CERT"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", "HTTPS_PROXY"),
        ("NewConnectionError: Temporary failure in name resolution", "offline"),
        ("ERROR: No matching distribution found for mitmproxy", "CODEMIE_PYTHON"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("something nobody has seen before", "full log"),
    ],
)
def test_failed_install_shows_its_last_lines_and_the_likely_fix(checkout: Checkout, log: str, hint: str) -> None:
    checkout.add_python()
    status, out, err = checkout.run("version", FAKE_PIP=f'echo "{log}"; exit 1')
    assert (status, out) == (1, "")
    assert log in err
    assert hint in err
    assert log in (checkout.root / ".venv.log").read_text()


def test_failed_upgrade_leaves_the_next_start_a_second_try(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.run("version")
    assert checkout.run("test", FAKE_PIP="exit 1")[0] == 1
    # Without the tools of the tests the proxy itself still starts, and without installing again.
    assert checkout.run("version") == (0, "<codemie-proxy><version>", "")
    assert checkout.run("test")[0] == 0


def test_install_killed_half_way_is_made_anew(
    checkout: Checkout, killed_at_the_end: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    checkout.add_python()
    half = checkout.venv / "half"
    process = killed_at_the_end(checkout.start("version", FAKE_PIP=f': >"{half}"; sleep 600'))
    wait_for(half.exists, "the install begins")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    status, out, err = checkout.run("version")
    assert (status, out) == (0, "<codemie-proxy><version>")
    assert "interrupted, starting over" in err
    assert not half.exists()


def test_interrupt_during_the_install_ends_the_installer_too(
    checkout: Checkout, killed_at_the_end: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    checkout.add_python()
    pid_file = checkout.root / "pip.pid"
    process = killed_at_the_end(checkout.start("version", FAKE_PIP=f'echo $$ >"{pid_file}"; exec sleep 600'))
    wait_for(lambda: pid_file.exists() and pid_file.read_text() != "", "the install begins")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    wait_for(lambda: not alive(int(pid_file.read_text())), "the installer ends")
    assert not (checkout.root / ".venv.lock").exists()


def test_two_starts_at_once_install_once(
    checkout: Checkout, killed_at_the_end: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    checkout.add_python()
    gate = checkout.root / "gate"
    slow = f'until [ -e "{gate}" ]; do sleep 0.05; done'
    first = killed_at_the_end(checkout.start("version", FAKE_PIP=slow))
    wait_for(lambda: checkout.installs() == 1, "the first install begins")
    second = killed_at_the_end(checkout.start("version", FAKE_PIP=slow))
    assert second.stderr is not None
    assert f"(pid {first.pid}) is installing" in second.stderr.readline()
    gate.touch()
    assert first.communicate(timeout=60)[0] == second.communicate(timeout=60)[0] == "<codemie-proxy><version>"
    assert checkout.installs() == 1


def test_lock_of_a_dead_process_is_taken_over(checkout: Checkout) -> None:
    checkout.add_python()
    dead = subprocess.Popen(["true"])
    dead.wait()
    (checkout.root / ".venv.lock").write_text(f"{dead.pid}\n")
    assert checkout.run("version")[:2] == (0, "<codemie-proxy><version>")


def test_environment_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.venv.mkdir()
    precious = checkout.venv / "precious"
    precious.touch()
    status, _, err = checkout.run("version")
    assert status == 1
    assert "was not made by run.sh" in err
    assert "CODEMIE_VENV" in err
    assert precious.exists()


def test_codemie_venv_names_another_folder(checkout: Checkout, tmp_path: Path) -> None:
    checkout.add_python()
    other = tmp_path / "other folder" / "venv"
    assert checkout.run("version", CODEMIE_VENV=str(other))[:2] == (0, "<codemie-proxy><version>")
    assert (other / "bin/codemie-proxy").exists()
    assert not checkout.venv.exists()


def test_signals_reach_the_proxy_because_run_sh_becomes_it(
    checkout: Checkout, killed_at_the_end: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    checkout.add_python()
    checkout.run("version")
    write_script(checkout.venv / "bin/codemie-proxy", "#!/usr/bin/env bash\necho $$\nexec sleep 600\n")
    process = killed_at_the_end(checkout.start("start"))
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM


PROGRAMS = (
    *("chromium", "dbus-run-session", "gnome-keyring-daemon", "secret-tool", "node", "openssl", "pg_ctlcluster"),
    *("fish", "tinyproxy", "zsh"),
)


def test_the_programs_some_tests_need_are_installed_when_asked_and_required_from_then_on(checkout: Checkout) -> None:
    checkout.add_python(text=INTERPRETER.replace("'<%s>' python", '"<%s>" "${CODEMIE_TEST_PROGRAMS:-optional}"'))
    install = "; ".join(f"cp $(command -v id) {checkout.bin}/{name}" for name in PROGRAMS)
    write_script(checkout.bin / "id", "#!/usr/bin/env bash\necho 0\n")
    write_script(checkout.bin / "apt-get", f"#!/usr/bin/env bash\ncase $* in *install*) {install} ;; esac\n")
    assert checkout.run("test", "-q")[1] == "<optional><-m><pytest><-q>"
    status, out, err = checkout.run("test", "--install", "-q")
    assert (status, out) == (0, "<required><-m><pytest><-q>")
    assert "chromium dbus gnome-keyring libsecret-tools nodejs openssl postgresql fish tinyproxy-bin zsh" in err


def test_programs_that_cannot_be_installed_are_named_and_their_tests_stay_optional(checkout: Checkout) -> None:
    checkout.add_python(text=INTERPRETER.replace("'<%s>' python", '"<%s>" "${CODEMIE_TEST_PROGRAMS:-optional}"'))
    write_script(checkout.bin / "id", "#!/usr/bin/env bash\necho 0\n")
    write_script(checkout.bin / "apt-get", "#!/usr/bin/env bash\necho no network >&2; exit 100\n")
    status, out, err = checkout.run("test", "--install")
    assert (status, out) == (0, "<optional><-m><pytest>")
    assert "no network" in err
    assert "not installed, so some tests will be skipped: chromium" in err
