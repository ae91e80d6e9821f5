"""The arguments of a tool call, as whole as they came, and the file operations made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from codemie_core.json_text import loads
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.json_values import rows, table, text
from codemie_core.usage.languages import format_of, language_of
from codemie_core.usage.line_counts import UNKNOWN_LINES, Lines
from codemie_core.usage.operation import FileOperation, OperationType

_LONGEST_PATH = 1024
_LONGEST_PATTERN = 200
_STRING = r'"((?:[^"\\]|\\.){0,4096})"'
_FIRST = 8192
"""Characters in which cut arguments must name their file."""


class Arguments:
    """By name; "" and () for what is missing or of the wrong type."""

    def __init__(self, call: ToolCall) -> None:
        self._raw = call.arguments
        self._table = {} if call.cut else table(loads(call.arguments))
        self.whole = bool(self._table)
        """An object, complete: lines can be counted."""
        self.plain = not call.cut and not call.arguments.lstrip().startswith("{")
        """All of a custom tool's text."""

    def text(self, *names: str) -> str:
        """The first of these that is given. Of cut arguments only what stands whole before the cut."""
        for name in names:
            if found := text(self._table.get(name)) or ("" if self.whole else self._before_the_cut(name)):
                return found
        return ""

    def has_text(self, name: str) -> bool:
        """Is it a string, be it empty?"""
        return isinstance(self._table.get(name), str)

    def truth(self, name: str) -> bool:
        """Is it true?"""
        return self._table.get(name) is True

    def value(self, name: str) -> object:
        """As it came; None when it is missing."""
        return self._table.get(name)

    def rows(self, name: str) -> Sequence[object]:
        """A list."""
        return rows(self._table.get(name))

    def texts(self, *names: str) -> Iterator[str]:
        """The strings in the first of these lists that is given."""
        for name in names:
            if found := [each for each in self.rows(name) if isinstance(each, str)]:
                yield from found
                return

    def free_text(self) -> str:
        """All there is, when it is no whole object: what a custom tool is given, or cut JSON with its newlines."""
        return self._raw if "\n" in self._raw else self._raw.replace("\\n", "\n")

    def _before_the_cut(self, name: str) -> str:
        # Names stand before contents; inside of a string their quotes are escaped and do not match.
        found = re.search(rf'"{name}"\s*:\s*{_STRING}', self._raw[:_FIRST])
        return text(loads(f'"{found[1]}"')) if found else ""


def operation(kind: OperationType, path: str, lines: Lines = UNKNOWN_LINES, pattern: str = "") -> FileOperation:
    """With format and language of the path."""
    short = _line(path, _LONGEST_PATH)
    added, removed = lines
    return FileOperation(
        kind, short, format_of(short), language_of(short), added, removed, _line(pattern, _LONGEST_PATTERN)
    )


def _line(value: str, longest: int) -> str:
    """Printable, in one line, without halves of characters, which no database takes."""
    short = value[:longest]
    return short if short.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in short)
