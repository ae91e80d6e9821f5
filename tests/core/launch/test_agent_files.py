from pathlib import Path

import pytest

from codemie_core.launch.agent_files import inside, json_object, read_assignments, read_json, read_toml


def test_json_may_have_comments_and_a_last_comma_outside_of_texts() -> None:
    assert json_object('{ // one\n "a": "b // c /* d */ ,]", /* two */ "e": [1, 2,], }') == {
        "a": "b // c /* d */ ,]",
        "e": [1, 2],
    }


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 9000, "a = "])
def test_what_cannot_be_understood_says_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    assert (read_json(file), read_toml(file)) == ({}, {})
    assert (read_json(tmp_path), read_toml(tmp_path / "missing"), read_assignments(tmp_path / "missing")) == (
        {},
        {},
        {},
    )


def test_assignments_are_read_as_shells_write_them(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# A=0\nONE=1 # one\nexport TWO='a # b'\n  THREE = \"c d\"\nEMPTY=\nFOUR: yes\n")
    expected = {"ONE": "1", "TWO": "a # b", "THREE": "c d", "EMPTY": "", "FOUR": "yes"}
    assert read_assignments(file) == expected


def test_an_object_within_an_object_is_found_or_empty() -> None:
    assert inside({"a": {"b": {"c": 1}}}, "a", "b") == {"c": 1}
    assert inside({"a": 1}, "a", "b") == {}
