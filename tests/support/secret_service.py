"""A real Secret Service (GNOME's) on a session bus of its own, and another program that reads and writes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import absent

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon", "secret-tool")
ADDONS = Path(__file__).parents[2] / "addons"

# The daemon leaves with its bus. An unlocked keyring needs a password once; a locked one is made the same way first.
_WITH_KEYRING = """
set -eu; cd "$HOME"
printf planted-password | gnome-keyring-daemon --unlock --components=secrets >"$XDG_RUNTIME_DIR/daemon.log" 2>&1
"$@"
"""


def require() -> None:
    """Skip, naming what is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        absent(f"a real keyring needs {', '.join(missing)} (packages dbus, gnome-keyring, libsecret-tools)")
    pytest.importorskip("secretstorage", reason="the extra 'keyring' is not installed")


def run(script: str, folder: Path, timeout: float = 60.0) -> str:
    """What a shell script says on a bus with an unlocked keyring. `python` is this one, with the addons' modules."""
    require()
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_RUNTIME_DIR": str(runtime),
        "CODEMIE_HOME": str(folder / "codemie"),
        "PYTHONPATH": str(ADDONS),
        "LC_ALL": "C.UTF-8",
    }
    python = f'python() {{ "{sys.executable}" "$@"; }}\n'
    command = ["dbus-run-session", "--", "bash", "-c", _WITH_KEYRING, "bash", "bash", "-euc", python + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
