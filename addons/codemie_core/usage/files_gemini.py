"""Gemini CLI's tools: https://geminicli.com/docs/tools/file-system. Older versions had other names for the paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from codemie_core.usage.arguments import Arguments, operation
from codemie_core.usage.edits import replaced
from codemie_core.usage.line_counts import lines_written, times
from codemie_core.usage.operation import FileOperation

_FILE = ("file_path", "absolute_path", "path")
_FOLDER = ("dir_path", "path")


def _write(given: Arguments) -> Iterator[FileOperation]:
    added = lines_written(given.text("content")) if given.has_text("content") else None
    yield operation("write", given.text(*_FILE), (added, None))


def _replace(given: Arguments) -> Iterator[FileOperation]:
    lines = replaced(given.value("old_string"), given.value("new_string"), given.truth("allow_multiple"))
    expected = given.value("expected_replacements")
    number = expected if type(expected) is int and 1 <= expected <= 10_000 else 1
    yield operation("edit", given.text(*_FILE), times(lines, number))


def _read(given: Arguments) -> Iterator[FileOperation]:
    yield operation("read", given.text(*_FILE))


def _read_many(given: Arguments) -> Iterator[FileOperation]:
    for path in given.texts("include", "paths"):
        yield operation("read", path)


def _delete(given: Arguments) -> Iterator[FileOperation]:
    yield operation("delete", given.text(*_FILE), (0, None))


def _glob(given: Arguments) -> Iterator[FileOperation]:
    yield operation("glob", given.text(*_FOLDER), pattern=given.text("pattern"))


def _grep(given: Arguments) -> Iterator[FileOperation]:
    yield operation("grep", given.text(*_FOLDER), pattern=given.text("pattern"))


TOOLS: Mapping[str, Callable[[Arguments], Iterator[FileOperation]]] = {
    "write_file": _write,
    "replace": _replace,
    "edit_file": _replace,
    "read_file": _read,
    "read_many_files": _read_many,
    "delete_file": _delete,
    "glob": _glob,
    "search_file_content": _grep,
    "grep_search": _grep,
}
