import json

import pytest

from codemie_core.cli.accounts_output import new_table, print_rows, print_table, result, say


def test_a_result_is_a_text_or_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    result("done", {"name": "main"}, as_json=False)
    result("done", {"name": "main"}, as_json=True)
    shown = capsys.readouterr()
    assert shown.out.startswith("done\n")
    assert json.loads(shown.out.removeprefix("done\n")) == {"name": "main"}
    assert shown.err == ""


def test_words_for_the_person_stay_out_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    say("be patient")
    assert capsys.readouterr() == ("", "be patient\n")


def test_further_lines_of_a_text_stand_below_its_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([("Name", "main"), ("Last events", "one\ntwo")])
    assert capsys.readouterr().out == "Name         main\nLast events  one\n             two\n"


def test_a_table_in_a_pipe_cuts_nothing_and_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = new_table("Name", "Why")
    table.add_row("main", "[red]" + "x" * 150)
    print_table(table)
    assert f"main  [red]{'x' * 150}" in capsys.readouterr().out
