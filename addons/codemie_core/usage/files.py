"""What a tool call of a coding agent does to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from codemie_core.usage import files_claude, files_codex, files_gemini, files_opencode
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.arguments import Arguments
from codemie_core.usage.operation import FileOperation

MOST_FILES = 200
"""Of one call."""

type Reader = Callable[[Arguments], Iterable[FileOperation]]

# By the names that agents.detect_agent gives, and their tools' own.
_READERS: Mapping[str, Mapping[str, Reader]] = {
    "claude": files_claude.TOOLS,
    "codex": files_codex.TOOLS,
    "gemini": files_gemini.TOOLS,
    "opencode": files_opencode.TOOLS,
}


def file_operations(agent: str, call: ToolCall) -> tuple[FileOperation, ...]:
    """Of the tools of `agent` (claude, codex, gemini, opencode) that read, change or look for files; else ().

    Arguments that are cut or broken leave the lines unknown, and the file where they do not come to its name. Never
    raises.
    """
    read = _READERS.get(agent, {}).get(call.name)
    return tuple(read(Arguments(call)))[:MOST_FILES] if read else ()
