"""Arguments of calls, whole, cut and broken."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.arguments import Arguments, operation

WHOLE = {"file_path": 'a "b"\\c.py', "content": "x", "all": True, "paths": ["a", 7, "b"], "none": []}


def arguments(text: str, cut: bool = False) -> Arguments:
    return Arguments(ToolCall("a", "Write", text, 0, cut))


def test_whole_arguments_are_read_by_name() -> None:
    given = arguments(json.dumps(WHOLE))
    assert given.whole
    assert given.text("path", "file_path") == 'a "b"\\c.py'
    assert given.text("all") == ""
    assert given.truth("all")
    assert list(given.texts("none", "paths")) == ["a", "b"]
    assert given.has_text("content")
    assert not given.has_text("all")


@pytest.mark.parametrize("length", range(len('{"file_path": "a \\"b\\"'), len(json.dumps(WHOLE)), 7))
def test_of_cut_arguments_the_path_is_read_once_it_is_whole(length: int) -> None:
    text = json.dumps(WHOLE)[:length]
    for given in (arguments(text), arguments(text, cut=True)):
        assert not given.whole
        assert given.text("file_path") == ('a "b"\\c.py' if '.py"' in text else "")
        assert not given.has_text("content")


def test_a_path_inside_of_a_content_is_no_path() -> None:
    inside = json.dumps({"content": '{"file_path": "/etc/passwd"}'})[:-1]
    assert arguments(inside).text("file_path") == ""


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{", "*** Begin Patch"])
def test_what_is_no_object_has_nothing(text: str) -> None:
    given = arguments(text)
    assert (given.text("file_path"), list(given.texts("paths")), given.value("x")) == ("", [], None)


def test_an_operation_has_format_language_and_bounds() -> None:
    made = operation("edit", "/p/a.ts", (5, 3))
    assert (made.format, made.language, made.lines_added, made.lines_removed) == ("ts", "typescript", 5, 3)
    long = operation("grep", "x" * 5000, pattern="y\n" * 5000)
    assert (len(long.path), len(long.pattern)) == (1024, 200)
    assert "\n" not in long.pattern
    assert operation("read", "a\ud83d\x00b").path == "a??b"


@pytest.mark.parametrize(
    "text, cut, plain, free",
    [
        ("*** Begin\n+x", False, True, "*** Begin\n+x"),
        ("*** Begin\n+x", True, False, "*** Begin\n+x"),
        ('{"input": "*** Begin\\n+x', False, False, '{"input": "*** Begin\n+x'),
    ],
)
def test_a_custom_tools_text_is_told_from_broken_json(text: str, cut: bool, plain: bool, free: str) -> None:
    given = arguments(text, cut)
    assert (given.plain, given.free_text()) == (plain, free)
