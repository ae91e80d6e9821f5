"""opencode's tools: https://opencode.ai/docs/tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from codemie_core.usage.arguments import Arguments, operation
from codemie_core.usage.edits import replaced, replaced_in_turn
from codemie_core.usage.files_codex import patched
from codemie_core.usage.line_counts import lines_written
from codemie_core.usage.operation import FileOperation

_EDIT = ("oldString", "newString", "replaceAll")


def _write(given: Arguments) -> Iterator[FileOperation]:
    added = lines_written(given.text("content")) if given.has_text("content") else None
    yield operation("write", given.text("filePath"), (added, None))


def _edit(given: Arguments) -> Iterator[FileOperation]:
    old, new, everywhere = _EDIT
    lines = replaced(given.value(old), given.value(new), given.truth(everywhere))
    yield operation("edit", given.text("filePath"), lines)


def _multi_edit(given: Arguments) -> Iterator[FileOperation]:
    yield operation("edit", given.text("filePath"), replaced_in_turn(given.value("edits"), _EDIT))


def _patch(given: Arguments) -> Iterator[FileOperation]:
    yield from patched(given.text("patchText") if given.whole else given.free_text(), given.whole)


def _read(given: Arguments) -> Iterator[FileOperation]:
    yield operation("read", given.text("filePath"))


def _glob(given: Arguments) -> Iterator[FileOperation]:
    yield operation("glob", given.text("path"), pattern=given.text("pattern"))


def _grep(given: Arguments) -> Iterator[FileOperation]:
    yield operation("grep", given.text("path"), pattern=given.text("pattern"))


TOOLS: Mapping[str, Callable[[Arguments], Iterator[FileOperation]]] = {
    "write": _write,
    "edit": _edit,
    "multiedit": _multi_edit,
    "patch": _patch,
    "apply_patch": _patch,
    "read": _read,
    "glob": _glob,
    "grep": _grep,
}
