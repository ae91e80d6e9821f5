"""Which repository and branch the person works in, as CodeMie's own tools name them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

GIT_BOUND = 2.0
"""Seconds that all git commands together may take."""
UNKNOWN = "unknown"

# host:path or user@host:path, where no slash comes before the colon. One letter is a Windows drive.
_SCP_LIKE = re.compile(r"(?:[^@/]+@)?(?:[^:/@]{2,}|\[[0-9A-Fa-f:.]+\]):(?P<path>.*)")
# Set inside a git hook, they would point git away from the folder.
_REDIRECTS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"})


@dataclass(frozen=True, slots=True)
class Workspace:
    """`repository` is owner/name, else parent/folder, else "unknown"; `branch` is None off any branch."""

    repository: str
    branch: str | None


def find_workspace(folder: Path, environ: Mapping[str, str]) -> Workspace:
    """Ask git about the folder; CODEMIE_REPOSITORY and CODEMIE_GIT_BRANCH win. Never raises.

    Blocks for up to 2 s: call it off the event loop.
    """
    repository = environ.get("CODEMIE_REPOSITORY", "").strip()
    branch: str | None = environ.get("CODEMIE_GIT_BRANCH", "").strip()
    deadline = time.monotonic() + GIT_BOUND
    if not repository:
        remote = _git(folder, environ, deadline, "remote", "get-url", "origin")
        repository = repository_of(remote) or _name_of(folder)
    if not branch:
        branch = _git(folder, environ, deadline, "rev-parse", "--abbrev-ref", "HEAD")
        # What git says of a detached head.
        branch = None if branch in ("", "HEAD") else branch
    return Workspace(repository, branch)


def repository_of(remote: str) -> str:
    """The last two parts of a remote's path (owner/name), so neither host nor credentials; "" when unclear."""
    try:
        path = urlsplit(remote).path if "://" in remote else _scp_path(remote)
    except ValueError:
        return ""
    parts = [part for part in path.strip().rstrip("/").removesuffix(".git").split("/") if part]
    return "/".join(parts[-2:]) if len(parts) >= 2 else ""


def _scp_path(remote: str) -> str:
    scp = _SCP_LIKE.fullmatch(remote)
    return scp["path"] if scp else remote


def _name_of(folder: Path) -> str:
    parts = folder.absolute().parts[1:]
    return "/".join(parts[-2:]) or UNKNOWN


def _git(folder: Path, environ: Mapping[str, str], deadline: float, *arguments: str) -> str:
    """What git prints, "" when it fails, is missing or takes too long."""
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    kept = {name: value for name, value in environ.items() if name not in _REDIRECTS}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**kept, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(deadline - time.monotonic(), 0.01),
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
