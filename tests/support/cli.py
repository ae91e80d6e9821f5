"""Calls the command line in this process and as one of its own."""

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from codemie_core.cli.app import main
from support import forged
from support.proxy import ADDONS

COMMAND = (sys.executable, "-m", "codemie_core.cli")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str = ""


def call(*arguments: str) -> Outcome:
    """Run it here."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    if isinstance(code, str):  # sys.exit("message")
        return Outcome(1, out.getvalue(), err.getvalue() + code + "\n")
    assert code is None or isinstance(code, int)
    return Outcome(code or 0, out.getvalue(), err.getvalue())


def environ(**more: str) -> dict[str, str]:
    """For a process that finds the sources as an editable install would."""
    return {**os.environ, "PYTHONPATH": str(ADDONS), "PYTHONUNBUFFERED": "1", **more}


def run(*arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120, fresh: bool = False) -> Outcome:
    """Run it as a process and wait for its end; `fresh` as support/forged.py has it."""
    done = forged.run([*COMMAND, *arguments], env or environ(), fresh, timeout)
    return Outcome(done.returncode, done.stdout, done.stderr)
