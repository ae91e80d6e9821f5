"""Which process listens on a port, as far as this system tells us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Like ` (python3, pid 4711)`; "" where nobody can say."""
    sockets = set(_inodes(port, proc))
    for process in proc.glob("[0-9]*") if sockets else ():
        if sockets & set(_sockets(process)):
            return f" ({_name(process)}, pid {process.name})"
    return ""


def _inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text("ascii", "replace").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if len(fields) > 9 and fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _sockets(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield os.readlink(descriptor)
    except OSError:
        return  # Another user's, or gone by now.


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "?"
