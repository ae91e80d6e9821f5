"""opencode's tools."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.files import file_operations
from codemie_core.usage.operation import FileOperation

PATH = "/p/a.go"
PATCH = "*** Begin Patch\n*** Update File: a.go\n@@\n-x\n+y\n+z\n*** Delete File: b.go\n*** End Patch"
PATCHED = (FileOperation("edit", "a.go", "go", "go", 2, 1), FileOperation("delete", "b.go", "go", "go", 0, None))


def done(name: str, **arguments: object) -> tuple[FileOperation, ...]:
    return file_operations("opencode", ToolCall("call_1", name, json.dumps(arguments), 0))


@pytest.mark.parametrize(
    "name, arguments, made",
    [
        ("write", {"content": "a\nb\n"}, FileOperation("write", PATH, "go", "go", 3, None)),
        ("edit", {"oldString": "a", "newString": "b\nc"}, FileOperation("edit", PATH, "go", "go", 2, 1)),
        (
            "edit",
            {"oldString": "a", "newString": "b", "replaceAll": True},
            FileOperation("edit", PATH, "go", "go", None, None),
        ),
        (
            "multiedit",
            {"edits": [{"oldString": "a", "newString": "b"}, {"oldString": "", "newString": "c"}]},
            FileOperation("edit", PATH, "go", "go", 2, 1),
        ),
        ("read", {"offset": 0}, FileOperation("read", PATH, "go", "go")),
    ],
)
def test_files_are_named_with_their_lines(name: str, arguments: dict[str, object], made: FileOperation) -> None:
    assert done(name, filePath=PATH, **arguments) == (made,)


@pytest.mark.parametrize("name", ["patch", "apply_patch"])
def test_a_patch_names_every_file(name: str) -> None:
    assert done(name, patchText=PATCH) == PATCHED


def test_a_cut_patch_names_files_without_lines() -> None:
    text = json.dumps({"patchText": PATCH})[:60]
    (made,) = file_operations("opencode", ToolCall("call_1", "apply_patch", text, 0, cut=True))
    assert (made.path, made.lines_added, made.lines_removed) == ("a.go", None, None)


def test_a_unified_diff_is_a_patch_too() -> None:
    (made,) = done("patch", patchText="--- a/a.go\n+++ b/a.go\n@@ -1 +1 @@\n-x\n+y\n")
    assert made == FileOperation("edit", "a.go", "go", "go", 1, 1)


def test_searches_tell_pattern_and_folder() -> None:
    assert done("glob", pattern="*.go") == (FileOperation("glob", "", pattern="*.go"),)
    assert done("grep", pattern="x", path="/p") == (FileOperation("grep", "/p", pattern="x"),)
