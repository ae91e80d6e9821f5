"""Reads patches that agents write: the format of Codex' apply_patch, and unified diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from codemie_core.usage.operation import OperationType

_BEGIN = "*** Begin Patch"
_END = "*** End Patch"
_HEADER = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+)")
_MOVE = "*** Move to: "
_TYPES: dict[str, OperationType] = {"Add": "write", "Update": "edit", "Delete": "delete"}
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_NOTHING = "/dev/null"


@dataclass(slots=True)
class FilePatch:
    """What a patch does to one file. Of a deleted one nobody says how long it was."""

    type: OperationType
    path: str
    added: int = 0
    removed: int | None = 0


def apply_patches(text: str) -> list[FilePatch]:
    """Every file of the patch between `*** Begin Patch` and `*** End Patch`, which may lie in a shell command."""
    begin = text.find(_BEGIN)
    if begin < 0:
        return []
    files: list[FilePatch] = []
    for line in text[begin:].splitlines()[1:]:
        if line.strip() == _END:
            break
        if header := _HEADER.match(line):
            kind = _TYPES[header[1]]
            files.append(FilePatch(kind, header[2].strip(), removed=None if kind == "delete" else 0))
        elif files:
            _apply_line(files[-1], line)
    return files


def unified_diffs(text: str) -> list[FilePatch]:
    """Every file of a unified diff, whatever stands before it."""
    files: list[FilePatch] = []
    lines = iter(text.splitlines())
    before = ""
    for line in lines:
        if line.startswith("--- "):
            before = _diff_path(line)
        elif line.startswith("+++ ") and before:
            files.append(_diff_file(before, _diff_path(line)))
            before = ""
        elif files and (hunk := _HUNK.match(line)):
            _count_hunk(files[-1], lines, int(hunk[1] or 1), int(hunk[2] or 1))
    return files


def count_lines(text: str) -> tuple[int, int]:
    """Lines added and removed by a diff without headers."""
    marks = [line[:1] for line in text.splitlines()]
    return marks.count("+"), marks.count("-")


def _apply_line(file: FilePatch, line: str) -> None:
    if line.startswith(_MOVE):
        file.path = line.removeprefix(_MOVE).strip()
    elif line.startswith("+"):
        file.added += 1
    elif line.startswith("-") and file.removed is not None:
        file.removed += 1


def _diff_path(line: str) -> str:
    # A tab and a time may follow.
    path = line[4:].partition("\t")[0].strip().strip('"')
    return path[2:] if path.startswith(("a/", "b/")) else path


def _diff_file(before: str, after: str) -> FilePatch:
    if after == _NOTHING:
        return FilePatch("delete", before)
    return FilePatch("write" if before == _NOTHING else "edit", after)


def _count_hunk(file: FilePatch, lines: Iterator[str], old: int, new: int) -> None:
    """The header says how many lines follow, so that a removed "-- x" is not taken for a header."""
    while old > 0 or new > 0:
        line = next(lines, None)
        if line is None:
            return
        if line.startswith("+"):
            file.added, new = file.added + 1, new - 1
        elif line.startswith("-"):
            file.removed, old = (file.removed or 0) + 1, old - 1
        elif not line.startswith("\\"):
            old, new = old - 1, new - 1
