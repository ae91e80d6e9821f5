"""Codex' tools: files are changed by patches, given to a tool of their own or to a shell.

https://github.com/openai/codex/blob/main/codex-rs/apply-patch/apply_patch_tool_instructions.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from codemie_core.usage.arguments import Arguments, operation
from codemie_core.usage.line_counts import UNKNOWN_LINES, Lines
from codemie_core.usage.operation import FileOperation, OperationType
from codemie_core.usage.patches import FilePatch, apply_patches, count_lines, unified_diffs

_APPLIES_PATCH = re.compile(r"\bapply_?patch\b")
_APPLIES_DIFF = re.compile(r"\bgit apply\b|\bpatch -p\d")
_NATIVE: Mapping[str, OperationType] = {"create_file": "write", "update_file": "edit", "delete_file": "delete"}


def patched(text: str, whole: bool) -> Iterator[FileOperation]:
    """What a patch does; a patch that is cut does not tell the lines."""
    for file in apply_patches(text) or unified_diffs(text):
        yield _of_patch(file, whole)


def _apply_patch(given: Arguments) -> Iterator[FileOperation]:
    """A custom tool brings the patch as it is, a function has it as its input, the API's own tool one file of it."""
    if kind := _NATIVE.get(given.text("type")):
        yield operation(kind, given.text("path"), _native_lines(kind, given) if given.whole else UNKNOWN_LINES)
    elif given.whole:
        yield from patched(given.text("input", "patch"), True)
    else:
        yield from patched(given.free_text(), given.plain)


def _native_lines(kind: OperationType, given: Arguments) -> Lines:
    return (0, None) if kind == "delete" else count_lines(given.text("diff"))


def _shell(given: Arguments) -> Iterator[FileOperation]:
    if not given.whole:
        yield from _in_command(given.free_text(), False)
    for command in _commands(given):
        yield from _in_command(command, True)


def _in_command(command: str, whole: bool) -> Iterator[FileOperation]:
    if _APPLIES_PATCH.search(command):
        for file in apply_patches(command):
            yield _of_patch(file, whole)
    elif _APPLIES_DIFF.search(command):
        for file in unified_diffs(command):
            yield _of_patch(file, whole)


def _commands(given: Arguments) -> Iterator[str]:
    """exec_command and shell_command have a text, shell and local_shell one command's words, shell_call commands."""
    for name in ("cmd", "command"):
        if words := given.text(name) or "\n".join(given.texts(name)):
            yield words
    yield from given.texts("commands")


def _of_patch(file: FilePatch, whole: bool) -> FileOperation:
    return operation(file.type, file.path, (file.added, file.removed) if whole else UNKNOWN_LINES)


TOOLS: Mapping[str, Callable[[Arguments], Iterator[FileOperation]]] = {
    "apply_patch": _apply_patch,
    "shell": _shell,
    "shell_command": _shell,
    "local_shell": _shell,
    "exec_command": _shell,
    "container.exec": _shell,
}
