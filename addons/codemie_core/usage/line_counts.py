"""How many lines a text brings and a change adds and removes, as a diff would show it."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_WORK = 10**9
"""Lines of one side times lines of the other: a fifth of a second."""

type Lines = tuple[int | None, int | None]
"""Added and removed; None where it is not known."""

UNKNOWN_LINES: Lines = (None, None)


def lines_written(content: str) -> int:
    """Of a file that is written as a whole. Like CodeMie's tools, a newline at the end begins one more."""
    return content.count("\n") + 1 if content else 0


def lines_changed(old: str, new: str) -> Lines:
    """The fewest lines added and removed that make one text the other; unknown for very large ones."""
    before, after = old.split("\n"), new.split("\n")
    same = _common(before, after)
    return UNKNOWN_LINES if same is None else (len(after) - same, len(before) - same)


def times(lines: Lines, number: int) -> Lines:
    """The same change made several times."""
    added, removed = lines
    return None if added is None else added * number, None if removed is None else removed * number


def total(changes: Sequence[Lines]) -> Lines:
    """All changes together; unknown as soon as one is."""
    added, removed = [each[0] for each in changes], [each[1] for each in changes]
    return _sum(added), _sum(removed)


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _common(before: list[str], after: list[str]) -> int | None:
    """Length of the longest common subsequence."""
    start, most = 0, min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    shared = set(before[start : len(before) - end]) & set(after[start : len(after) - end])
    left = [line for line in before[start : len(before) - end] if line in shared]
    right = [line for line in after[start : len(after) - end] if line in shared]
    if len(left) * len(right) > _MOST_WORK:
        return None
    return start + end + _longest_common(left, right)


def _longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    """Hyyro's bit-parallel algorithm: one bit for each line of `left`, all of them moved at once by each of `right`."""
    places: dict[str, int] = {}
    for index, line in enumerate(left):
        places[line] = places.get(line, 0) | (1 << index)
    full = (1 << len(left)) - 1
    row = full
    for line in right:
        matches = row & places.get(line, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(left) - row.bit_count()
