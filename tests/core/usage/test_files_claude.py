"""Claude Code's tools, counted as CodeMie's command line counts them."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.files import file_operations
from codemie_core.usage.line_counts import Lines
from codemie_core.usage.operation import FileOperation, OperationType

PATH = "/p/a.ts"


def done(name: str, **arguments: object) -> FileOperation:
    (operation,) = file_operations("claude", ToolCall("toolu_1", name, json.dumps(arguments), 0))
    return operation


def on_path(kind: OperationType, lines: Lines = (None, None)) -> FileOperation:
    return FileOperation(kind, PATH, "ts", "typescript", *lines)


def edit(old: str, new: str) -> dict[str, str]:
    return {"old_string": old, "new_string": new}


@pytest.mark.parametrize("content, added", [("a\nb", 2), ("a\nb\n", 3), ("", 0)])
def test_write_tells_the_lines_of_its_content_and_not_what_was_there(content: str, added: int) -> None:
    assert done("Write", file_path=PATH, content=content) == on_path("write", (added, None))


def test_edit_tells_the_lines_that_change() -> None:
    assert done("Edit", file_path=PATH, **edit("a\nb\nc", "a\nx\ny\nc")) == on_path("edit", (2, 1))


def test_edit_everywhere_leaves_the_lines_unknown() -> None:
    assert done("Edit", file_path=PATH, **edit("a", "b"), replace_all=True) == on_path("edit")
    assert done("Edit", file_path=PATH, **edit("a", "b"), replace_all=False) == on_path("edit", (1, 1))


def test_edit_to_nothing_takes_the_end_of_the_line() -> None:
    assert done("Edit", file_path=PATH, **edit("a\nb", "")) == on_path("edit", (0, 2))


def test_multi_edit_adds_its_edits_up() -> None:
    edits = [edit("a", "a\nb"), edit("c\nd", "")]
    assert done("MultiEdit", file_path=PATH, edits=edits) == on_path("edit", (1, 2))


@pytest.mark.parametrize(
    "mode, lines",
    [({"edit_mode": "insert"}, (2, 0)), ({"edit_mode": "delete"}, (0, None)), ({}, (None, None))],
)
def test_notebook_edit_tells_what_it_can(mode: dict[str, str], lines: Lines) -> None:
    operation = done("NotebookEdit", notebook_path="/p/a.ipynb", new_source="x\ny", cell_id="1", **mode)
    assert operation == FileOperation("edit", "/p/a.ipynb", "ipynb", "jupyter", *lines)


def test_read_glob_and_grep_have_no_lines() -> None:
    assert done("Read", file_path=PATH, offset=1) == on_path("read")
    assert done("Glob", pattern="**/*.ts") == FileOperation("glob", "", pattern="**/*.ts")
    assert done("Grep", pattern="TODO", path="/p") == FileOperation("grep", "/p", pattern="TODO")


def test_cut_arguments_tell_the_path_only() -> None:
    text = json.dumps({"file_path": PATH, "content": "a\n" * 100})
    for call in (ToolCall("a", "Write", text[:60], 0, cut=True), ToolCall("a", "Write", text[:60], 0)):
        assert file_operations("claude", call) == (on_path("write"),)
