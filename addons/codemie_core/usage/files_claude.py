"""Claude Code's tools: https://code.claude.com/docs/en/tools-reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from codemie_core.usage.arguments import Arguments, operation
from codemie_core.usage.edits import replaced, replaced_in_turn
from codemie_core.usage.line_counts import UNKNOWN_LINES, Lines, lines_written
from codemie_core.usage.operation import FileOperation

_EDIT = ("old_string", "new_string", "replace_all")


def _write(given: Arguments) -> Iterator[FileOperation]:
    # What was in the file before is not on the wire.
    added = lines_written(given.text("content")) if given.has_text("content") else None
    yield operation("write", given.text("file_path"), (added, None))


def _edit(given: Arguments) -> Iterator[FileOperation]:
    old, new, everywhere = _EDIT
    lines = replaced(given.value(old), given.value(new), given.truth(everywhere), takes_newline=True)
    yield operation("edit", given.text("file_path"), lines)


def _multi_edit(given: Arguments) -> Iterator[FileOperation]:
    lines = replaced_in_turn(given.value("edits"), _EDIT, takes_newline=True)
    yield operation("edit", given.text("file_path"), lines)


def _notebook_edit(given: Arguments) -> Iterator[FileOperation]:
    yield operation("edit", given.text("notebook_path"), _cell(given))


def _cell(given: Arguments) -> Lines:
    """The old words of a cell that is replaced or deleted are not on the wire."""
    match given.text("edit_mode"):
        case "insert" if given.has_text("new_source"):
            return lines_written(given.text("new_source")), 0
        case "delete":
            return 0, None
        case _:
            return UNKNOWN_LINES


def _read(given: Arguments) -> Iterator[FileOperation]:
    yield operation("read", given.text("file_path"))


def _glob(given: Arguments) -> Iterator[FileOperation]:
    yield operation("glob", given.text("path"), pattern=given.text("pattern"))


def _grep(given: Arguments) -> Iterator[FileOperation]:
    yield operation("grep", given.text("path"), pattern=given.text("pattern"))


TOOLS: Mapping[str, Callable[[Arguments], Iterator[FileOperation]]] = {
    "Write": _write,
    "Edit": _edit,
    "MultiEdit": _multi_edit,
    "NotebookEdit": _notebook_edit,
    "Read": _read,
    "Glob": _glob,
    "Grep": _grep,
}
