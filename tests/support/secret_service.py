"""A real Secret Service (GNOME's) on a session bus of its own, and another program that reads and writes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from codemie_core.sso.keychain import SERVICE
from support.programs import absent

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon", "secret-tool")
ADDONS = Path(__file__).parents[2] / "addons"

# The daemon leaves with its bus. An unlocked keyring needs a password once; a locked one is made the same way first.
_WITH_KEYRING = """
set -eu; cd "$HOME"
printf planted-password | gnome-keyring-daemon --unlock --components=secrets >"$XDG_RUNTIME_DIR/daemon.log" 2>&1
"$@"
"""

_COMMAND = ("dbus-run-session", "--", "bash", "-c", _WITH_KEYRING, "bash")


def require() -> None:
    """Skip, naming what is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        absent(f"a real keyring needs {', '.join(missing)} (packages dbus, gnome-keyring, libsecret-tools)")
    pytest.importorskip("secretstorage", reason="the extra 'keyring' is not installed")


def run(script: str, folder: Path, timeout: float = 60.0) -> str:
    """What a shell script says on a bus with an unlocked keyring. `python` is this one, with the addons' modules."""
    environ = _environ(folder) | {"CODEMIE_HOME": str(folder / "codemie"), "PYTHONPATH": str(ADDONS)}
    python = f'python() {{ "{sys.executable}" "$@"; }}\n'
    command = [*_COMMAND, "bash", "-euc", python + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def session(folder: Path) -> Iterator[dict[str, str]]:
    """A bus with an unlocked keyring, for as many programs as like: the variables that lead them there."""
    environ = _environ(folder)
    say_where = 'echo "$DBUS_SESSION_BUS_ADDRESS"; read -r _ || true'
    bus = subprocess.Popen(
        [*_COMMAND, "bash", "-euc", say_where], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert bus.stdin is not None
    assert bus.stdout is not None
    try:
        address = bus.stdout.readline().strip()
        assert address, "no session bus"
        yield {
            "DBUS_SESSION_BUS_ADDRESS": address,
            "XDG_RUNTIME_DIR": environ["XDG_RUNTIME_DIR"],
            "CODEMIE_KEYRING": "1",
        }
    finally:
        bus.stdin.close()
        bus.wait(20)
        bus.stdout.close()


def put(account: str, secret: str, bus: Mapping[str, str]) -> None:
    """As another program, into the keyring of a `session`."""
    command = ["secret-tool", "store", "--label=x", "service", SERVICE, "account", account]
    subprocess.run(command, env=os.environ | bus, input=secret, text=True, timeout=20, check=True)


def kept(bus: Mapping[str, str]) -> str:
    """All that is in the keyring of a `session` for us, secrets included."""
    command = ["secret-tool", "search", "--all", "service", SERVICE]
    done = subprocess.run(command, env=os.environ | bus, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout + done.stderr


def _environ(folder: Path) -> dict[str, str]:
    require()
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True, parents=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_RUNTIME_DIR": str(runtime),
        "LC_ALL": "C.UTF-8",
    }
