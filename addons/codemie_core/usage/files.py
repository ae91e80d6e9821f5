"""What a tool call of a coding agent does to files."""

from __future__ import annotations

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.operation import FileOperation


def file_operations(agent: str, call: ToolCall) -> tuple[FileOperation, ...]:
    """By the names of the tools of `agent`: claude, codex, gemini, opencode."""
    return ()
