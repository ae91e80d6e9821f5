"""Gets the real agents with npm, the versions of tests/agents/package.json, each into a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

MANIFEST = Path(__file__).parents[1] / "agents" / "package.json"
FOLDER = Path(os.environ.get("CODEMIE_TEST_AGENTS") or Path(sys.prefix) / "test-agents")
"""Read when this is imported: tests have no CODEMIE_ variables."""
PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
}
INSTALL_SECONDS = 600
QUIET = ("--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier", "--loglevel", "error")


class NotInstalled(Exception):
    """The agent cannot be had here; the message says why."""


def version(program: str) -> str:
    """The one that is pinned."""
    return str(json.loads(MANIFEST.read_text())["dependencies"][PACKAGES[program]])


@cache
def _outcome(program: str) -> Path | NotInstalled:
    try:
        return _install(program)
    except NotInstalled as problem:
        return problem


def installed(program: str) -> Path:
    """The program, got with npm when it is not there in this version. NotInstalled, tried once, when that fails."""
    found = _outcome(program)
    if isinstance(found, NotInstalled):
        raise found
    return found


def _install(program: str) -> Path:
    folder = FOLDER / f"{program}-{version(program)}"
    command = folder / "node_modules" / ".bin" / program
    mark = folder / "installed"
    if mark.exists() and command.exists():
        return command
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled(f"{program}: there is no npm")
    print(f"\nnpm gets {program} {version(program)} ...", file=sys.__stderr__, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = {"private": True, "dependencies": {PACKAGES[program]: version(program)}}
    (folder / "package.json").write_text(json.dumps(wanted))
    try:
        done = subprocess.run(
            [npm, "install", *QUIET],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{program}: npm takes more than {INSTALL_SECONDS} s") from None
    if done.returncode or not command.exists():
        raise NotInstalled(f"{program}: npm says {(done.stderr or done.stdout).strip()[-300:]}")
    mark.write_text(version(program))
    return command
