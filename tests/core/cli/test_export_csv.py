import csv
import io

import pytest

from codemie_core.cli.export_csv import csv_lines, safe
from codemie_core.store.requests import Turn
from support.turn_rows import NOW, new_turn


def rows(*turns: Turn) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(csv_lines(turns)))))


def test_a_row_has_what_is_known_and_nothing_for_the_rest() -> None:
    [row] = rows(Turn(new_turn(1, started_ms=NOW, cost_input=36_000)))
    assert (row["started"], row["ok"], row["model"]) == (
        *("2026-11-04T15:30:00.000+00:00", "true", "claude-sonnet-4-5-20250929"),
    )
    assert (row["cost_usd"], row["cost_input_usd"], row["cost_output_usd"]) == ("0.015411", "0.000036", "")
    assert (row["reasoning_tokens"], row["cache_read_tokens"]) == ("", "30000")


def test_money_is_exact_also_where_fractions_are_not() -> None:
    [row] = rows(Turn(new_turn(1, cost_nano_usd=9_007_199_254_740_993)))
    assert row["cost_usd"] == "9007199.254740993"
    assert rows(Turn(new_turn(1, cost_nano_usd=0)))[0]["cost_usd"] == "0"
    assert rows(Turn(new_turn(1, cost_nano_usd=1)))[0]["cost_usd"] == "0.000000001"


def test_without_turns_there_are_still_the_columns() -> None:
    [header] = csv_lines([])
    [first, *_] = csv_lines([Turn(new_turn(1))])
    assert header == first


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_text_is_a_formula(start: str) -> None:
    text = f'{start}cmd|"/c calc"!A1,\nx'
    [row] = rows(Turn(new_turn(1, branch=text, model=text)))
    assert (row["branch"], row["model"]) == (f"'{text}", f"'{text}")


def test_only_text_can_be_a_formula() -> None:
    assert [safe(value) for value in (-1, -0.5, None, False, "a=b", "")] == [-1, -0.5, None, "false", "a=b", ""]


def test_a_terminal_is_told_nothing() -> None:
    assert safe("a\x1b[31mb\x9b1mc\u202e") == "a[31mb1mc"
    assert safe("\x1b=1+1") == "'=1+1"
