"""What a tool call does to files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

type OperationType = Literal["read", "write", "edit", "delete", "glob", "grep"]


@dataclass(frozen=True, slots=True)
class FileOperation:
    """One file, in CodeMie's words for it."""

    type: OperationType
    path: str
    """As the agent wrote it; "" where it names none."""
    format: str = ""
    """The file's extension, without the dot; "" for unknown."""
    language: str = ""
    lines_added: int | None = None
    lines_removed: int | None = None
    pattern: str = ""
    """What glob and grep looked for."""
