"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "problem"]
Room = Literal["Installation", "Home", "CodeMie", "Accounts", "Proxies", "Network", "Certificates", "Agents"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` and `fix` are for people and hold no secret. `fix` is a command where there is one."""

    id: str
    level: Level
    what: str
    fix: str = ""
    room: Room = "Installation"
    """Put in by whoever runs the check."""


def ok(name: str, what: str) -> Finding:
    """As it should be."""
    return Finding(name, "ok", what)


def note(name: str, what: str, fix: str = "") -> Finding:
    """Worth knowing; nothing is wrong."""
    return Finding(name, "note", what, fix)


def warning(name: str, what: str, fix: str) -> Finding:
    """Something will not work as expected, or not for long."""
    return Finding(name, "warning", what, fix)


def problem(name: str, what: str, fix: str) -> Finding:
    """Something does not work."""
    return Finding(name, "problem", what, fix)
