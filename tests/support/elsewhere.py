"""Python run in another process against the home of a test: what another proxy does at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import forged

_PATHS = [str(Path(__file__).resolve().parents[2] / "addons"), str(Path(__file__).resolve().parents[1])]
_PRELUDE = f"""
import os, sys, time
sys.path[:0] = {_PATHS!r}
from codemie_core.places import Places
from codemie_core.store.database import open_database
places = Places.from_env(os.environ)
"""


def elsewhere(program: str, environ: Mapping[str, str], *arguments: str, fresh: bool = False) -> subprocess.Popen[str]:
    """Started, with `places` and `open_database` at hand; speaks through pipes."""
    command = [sys.executable, "-c", _PRELUDE + textwrap.dedent(program), *arguments]
    return forged.start(command, {**os.environ, **environ}, fresh, stdin=subprocess.PIPE)


def outcomes(processes: Sequence[subprocess.Popen[str]], timeout: float = 120.0) -> list[str]:
    """What each printed, after its good end."""
    found = []
    for process in processes:
        out, problem = process.communicate(timeout=timeout)
        assert process.returncode == 0, problem
        found.append(out.strip())
    return found


def end(process: subprocess.Popen[str]) -> None:
    """Killed, if it still runs."""
    process.kill()
    process.communicate(timeout=30)
