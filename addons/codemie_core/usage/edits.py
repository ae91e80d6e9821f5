"""Edits that name the old words and the new ones: what they do to the lines of their file."""

from __future__ import annotations

from collections.abc import Mapping

from codemie_core.usage.json_values import rows, table
from codemie_core.usage.line_counts import UNKNOWN_LINES, Lines, lines_changed, total

_MOST_EDITS = 200


def replaced(old: object, new: object, everywhere: bool, takes_newline: bool = False) -> Lines:
    """Of one edit. Made everywhere, nobody says how often: unknown.

    `takes_newline`: a text that is deleted up to the end of its line takes the line's end with it.
    """
    if everywhere or not isinstance(old, str) or not isinstance(new, str):
        return UNKNOWN_LINES
    if not old:
        # A new file, or an empty one.
        return lines_changed("", new)[0], 0
    if takes_newline and not new and not old.endswith("\n"):
        old += "\n"
    return lines_changed(old, new)


def replaced_in_turn(edits: object, names: tuple[str, str, str], takes_newline: bool = False) -> Lines:
    """Of a list of edits; `names` of the old words, the new ones, and the switch for everywhere."""
    given = rows(edits)
    if not given or len(given) > _MOST_EDITS:
        return UNKNOWN_LINES
    return total([_one(table(edit), names, takes_newline) for edit in given])


def _one(edit: Mapping[str, object], names: tuple[str, str, str], takes_newline: bool) -> Lines:
    old, new, everywhere = names
    return replaced(edit.get(old), edit.get(new), edit.get(everywhere) is True, takes_newline)
