"""Edits by old and new words."""

import pytest

from codemie_core.usage.edits import replaced, replaced_in_turn
from codemie_core.usage.line_counts import Lines

NAMES = ("old", "new", "all")


@pytest.mark.parametrize(
    "old, new, everywhere, lines",
    [
        ("a\nb", "a\nc\nd", False, (2, 1)),
        ("", "a\nb\n", False, (2, 0)),
        ("", "a\nb", False, (2, 0)),
        ("a", "b", True, (None, None)),
        (None, "b", False, (None, None)),
        ("a", 7, False, (None, None)),
    ],
)
def test_an_edit_changes_lines(old: object, new: object, everywhere: bool, lines: Lines) -> None:
    assert replaced(old, new, everywhere) == lines


@pytest.mark.parametrize(
    "old, takes_newline, lines", [("a\nb", False, (1, 2)), ("a\nb", True, (0, 2)), ("a\nb\n", True, (0, 2))]
)
def test_a_deletion_may_take_the_end_of_its_line(old: str, takes_newline: bool, lines: Lines) -> None:
    assert replaced(old, "", False, takes_newline) == lines


def test_edits_in_turn_add_up() -> None:
    edits = [{"old": "a", "new": "b\nc"}, {"old": "d\ne", "new": ""}]
    assert replaced_in_turn(edits, NAMES, takes_newline=True) == (2, 3)


@pytest.mark.parametrize("edits", [None, [], "text", [7], [{"old": "a"}], [{"old": "a", "new": "b", "all": True}]])
def test_edits_that_do_not_tell_leave_the_lines_unknown(edits: object) -> None:
    assert replaced_in_turn(edits, NAMES) == (None, None)
