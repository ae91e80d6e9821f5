import pytest

from codemie_core.cli import history_tables
from codemie_core.store.figures import Figures


def test_nothing_is_told_apart_from_unknown() -> None:
    assert history_tables.cells(Figures()) == ("0", "-", "-", "-", "-", "-")
    assert history_tables.cells(Figures(requests=1, unpriced=1, uncounted=1)) == ("1", "0", "?", "-", "?", "?")
    assert history_tables.cells(Figures(requests=200, errors=1, input_tokens=0, output_tokens=0, cost_nano_usd=0)) == (
        *("200", "1 (0.5%)", "0", "-", "0", "$0"),
    )


def test_lines_that_came_and_went() -> None:
    assert (history_tables.lines(3, None), history_tables.lines(None, None)) == ("+3 -0", "?")


def test_the_footnote_is_there_when_a_cost_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    history_tables.footnote([Figures(requests=1)])
    assert capsys.readouterr().err == ""
    history_tables.footnote([Figures(), Figures(requests=1, unpriced=1)])
    assert "cost is not known" in capsys.readouterr().err
