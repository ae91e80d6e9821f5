"""Lines added and removed, as a diff would show them."""

import difflib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.line_counts import UNKNOWN_LINES, Lines, lines_changed, lines_written, times, total


@pytest.mark.parametrize("content, lines", [("", 0), ("a", 1), ("a\n", 2), ("a\nb", 2), ("\n", 2), ("a\r\nb", 2)])
def test_a_written_file_has_one_line_more_than_newlines(content: str, lines: int) -> None:
    assert lines_written(content) == lines


@pytest.mark.parametrize(
    "old, new, lines",
    [
        ("a", "a", (0, 0)),
        ("a", "b", (1, 1)),
        ("a\nb\nc", "a\nx\nc", (1, 1)),
        ("a\nb\n", "a\nb\nc\n", (1, 0)),
        ("a\nb\nc", "c", (0, 2)),
        ("a\nb\n", "", (0, 2)),
        ("a\nb\nc\nd", "d\na\nb\nc", (1, 1)),
        ("a\nb\na\nb", "b\na\nb\na", (1, 1)),
        ("a\na\na", "a", (0, 2)),
        ("x\na\ny\nb\nz", "a\nb", (0, 3)),
    ],
)
def test_a_change_is_told_with_the_fewest_lines(old: str, new: str, lines: Lines) -> None:
    assert lines_changed(old, new) == lines


texts = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12).map("\n".join)


def longest_common(left: list[str], right: list[str]) -> int:
    """The textbook's, slow and sure."""
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if one == other else max(lengths[i][j + 1], lengths[i + 1][j])
    return lengths[-1][-1]


@given(texts, texts)
def test_counts_are_those_of_the_shortest_diff(old: str, new: str) -> None:
    before, after = old.split("\n"), new.split("\n")
    common = longest_common(before, after)
    assert lines_changed(old, new) == (len(after) - common, len(before) - common)
    shown = [line[:2] for line in difflib.ndiff(before, after)]
    assert len(after) - common <= shown.count("+ ")


def test_a_large_rewrite_is_counted_fast() -> None:
    old = "\n".join(str(number % 977) for number in range(10_000))
    new = "\n".join(str(number * 7 % 983) for number in range(10_000))
    began = time.process_time()
    added, removed = lines_changed(old, new)
    assert added == removed
    assert time.process_time() - began < 5


def test_a_change_that_would_take_too_long_is_unknown() -> None:
    assert lines_changed("a\nb\n" * 60_000, "b\na\n" * 60_000) == UNKNOWN_LINES


def test_counts_are_added_up_and_multiplied_where_they_are_known() -> None:
    assert total([(1, 2), (3, 4)]) == (4, 6)
    assert total([(1, None), (3, 4)]) == (4, None)
    assert total([]) == (0, 0)
    assert times((2, 3), 4) == (8, 12)
    assert times(UNKNOWN_LINES, 4) == UNKNOWN_LINES
