"""Requests as CSV (RFC 4180): one row each, the first one names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from codemie_core.cli.history_json import request
from codemie_core.usage.cost import NANO

if TYPE_CHECKING:
    from codemie_core.store.requests import Turn

# What a spreadsheet would take for a formula and run; the last four are the wide forms of the first.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def csv_lines(turns: Iterable[Turn]) -> Iterator[str]:
    """Unknown is empty. Money is in US dollars, exactly."""
    first = True
    for turn in turns:
        row = _row(turn.row)
        if first:
            yield _line(row)
            first = False
        yield _line(row.values())
    if first:
        yield _line(_names())


def safe(value: object) -> object:
    """Text that would be a formula begins with an apostrophe, which spreadsheets take for "this is text".

    What a terminal would obey is left out.
    """
    if isinstance(value, str):
        text = "".join(letter for letter in value if letter.isprintable() or letter in "\t\r\n")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return str(value).lower() if isinstance(value, bool) else value


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {**request(row), "server_tools": row["server_tools"]}
    del shown["cost_nano_usd"]
    for name, value in row.items():
        if name.startswith("cost_"):
            column = f"{name.removesuffix('_nano_usd')}_usd"
            shown[column] = None if value is None else f"{Decimal(value) / NANO:f}"
    return shown


def _names() -> Iterable[str]:
    from codemie_core.store.tables import requests

    return _row({column.name: None for column in requests.columns})


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([safe(value) for value in values])
    return text.getvalue()
