import pytest

from codemie_core.running import RunningProxy
from codemie_core.top.board import Board
from codemie_core.top.headline import figures_line, proxy_line, spark
from codemie_core.top.shapes import Account, Totals
from support.top_admin import NOW

ENTRY = RunningProxy("r", 1, "", NOW - 4000, ("127.0.0.1:8080",), ("reverse:https://api.anthropic.com",), "1", 2)


def test_the_first_line_says_where_and_whether_it_is_live() -> None:
    shown = proxy_line(ENTRY, own=True, others=0, live=True, width=78, now=NOW).plain
    assert shown.startswith("127.0.0.1:8080 → api.anthropic.com ")
    assert shown.endswith("started by top  up 1 h 06 min  ● live")
    assert len(shown) == 78
    other = proxy_line(ENTRY, own=False, others=2, live=False, width=78, now=NOW).plain
    assert other.endswith("p: 2 more  up 1 h 06 min  ○ not live")


def test_the_second_line_sums_up() -> None:
    board = Board(totals=Totals(requests=1204, success_rate=99.25, total_tokens=3_100_000, total_cost_usd=12.34))
    board.accounts = [Account(id="a", name="a", state="ready"), Account(id="b", name="b", state="limited")]
    shown = figures_line(board, 100).plain
    assert "1,204 requests, 99.25% ok  3.1M tokens  $12.34" in shown
    assert shown.endswith("0 open  1/2 accounts ready")


def test_the_course_of_the_day_stands_where_there_is_room() -> None:
    board = Board(hours=[0.0, 1.0] * 12)
    assert "▁█▁█" in figures_line(board, 100).plain
    assert "█" not in figures_line(board, 50).plain


@pytest.mark.parametrize("width", [10, 40, 60, 78, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    board = Board(totals=Totals(requests=9_999_999, success_rate=99.99, total_tokens=10**12, total_cost_usd=1e6))
    assert figures_line(board, width).cell_len <= max(width, 20)


@pytest.mark.parametrize("values, drawn", [([], ""), ([0, 0], "▁▁"), ([0, 1, 2], "▁▅█"), ([5], "█")])
def test_a_block_for_each_value(values: list[float], drawn: str) -> None:
    assert spark(values) == drawn
