"""Gemini CLI's tools, in the names of today and of before."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.files import file_operations
from codemie_core.usage.line_counts import Lines
from codemie_core.usage.operation import FileOperation

PATH = "/p/a.py"


def done(name: str, **arguments: object) -> tuple[FileOperation, ...]:
    return file_operations("gemini", ToolCall("", name, json.dumps(arguments), 0))


@pytest.mark.parametrize("name", ["file_path", "absolute_path", "path"])
def test_the_path_is_found_under_each_of_its_names(name: str) -> None:
    assert done("read_file", **{name: PATH}) == (FileOperation("read", PATH, "py", "python"),)


def test_write_file_tells_the_lines_of_its_content() -> None:
    written = FileOperation("write", PATH, "py", "python", 2, None)
    assert done("write_file", file_path=PATH, content="a\nb") == (written,)


@pytest.mark.parametrize(
    "more, lines",
    [
        ({}, (2, 1)),
        ({"expected_replacements": 3}, (6, 3)),
        ({"expected_replacements": "3"}, (2, 1)),
        ({"expected_replacements": -1}, (2, 1)),
        ({"allow_multiple": True}, (None, None)),
    ],
)
def test_replace_tells_the_lines_that_change(more: dict[str, object], lines: Lines) -> None:
    edited = FileOperation("edit", PATH, "py", "python", *lines)
    assert done("replace", file_path=PATH, old_string="a\nb", new_string="a\nc\nd", **more) == (edited,)


def test_read_many_files_reads_each() -> None:
    assert [each.path for each in done("read_many_files", include=["a.py", "docs/*.md"])] == ["a.py", "docs/*.md"]
    assert [each.path for each in done("read_many_files", paths=["b.py"])] == ["b.py"]
    assert done("read_many_files") == ()


@pytest.mark.parametrize("name, kind", [("glob", "glob"), ("search_file_content", "grep"), ("grep_search", "grep")])
def test_searches_tell_pattern_and_folder(name: str, kind: str) -> None:
    (search,) = done(name, pattern="x.*", dir_path="/p")
    assert (search.type, search.path, search.pattern) == (kind, "/p", "x.*")


def test_delete_file_removes_nobody_knows_how_many_lines() -> None:
    assert done("delete_file", file_path=PATH) == (FileOperation("delete", PATH, "py", "python", 0, None),)
