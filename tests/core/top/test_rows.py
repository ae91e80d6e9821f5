import pytest
from rich.text import Text

from codemie_core.top import rows
from codemie_core.top.board import Board, Turn
from codemie_core.top.shapes import Account, Request, Session
from support.top_admin import NOW, start, summary


def account(**more: object) -> Account:
    return Account.model_validate({"id": "a", "name": "work", "provider": "anthropic", **more})


@pytest.mark.parametrize(
    "told, words, style",
    [
        ({"state": "ready", "stateInWords": "ready"}, "ready", "green"),
        ({"state": "paused", "stateInWords": "paused: holidays"}, "paused: holidays", "dim"),
        (
            {"state": "limited", "stateInWords": "limited until 12:03", "until": (NOW + 90) * 1000},
            "limited, 90 s left",
            "yellow",
        ),
        (
            {"state": "guessed", "stateInWords": "limited until 9", "until": (NOW - 1) * 1000},
            "limited until 9",
            "yellow",
        ),
        ({"state": "sign in again", "stateInWords": "sign in again"}, "sign in again", "red"),
        ({"state": "new to us"}, "new to us", "yellow"),
    ],
)
def test_the_state_of_an_account_in_words_and_color(told: dict[str, object], words: str, style: str) -> None:
    found = rows.account_state(account(**told), NOW)
    assert (found.plain, found.style) == (words, style)


@pytest.mark.parametrize(
    "state, told, words",
    [
        ("start", {}, "waiting"),
        ("first_token", {}, "streaming"),
        ("progress", {"statusCode": 200}, "streaming"),
        ("summary", {"statusCode": 200, "success": True}, "200"),
        ("summary", {"statusCode": 200, "success": False}, "200 broke"),
        ("summary", {"statusCode": 429, "success": False}, "429"),
        ("summary", {"statusCode": 200, "success": True, "failoverAttempts": 1}, "200 2x"),
        ("summary", {"statusCode": 429}, "429"),
        ("summary", {"success": False}, "failed"),
        ("summary", {"success": True}, "ok"),
    ],
)
def test_where_a_request_stands(state: str, told: dict[str, object], words: str) -> None:
    assert rows.status(Turn(Request.model_validate({"id": "r", **told}), state), NOW).plain == words


@pytest.mark.parametrize(
    "seconds, words",
    [(0, "0.0s"), (2.54, "2.5s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00"), (727, "12m07"), (7500, "2h05")],
)
def test_a_span_in_five_characters(seconds: float, words: str) -> None:
    assert rows.brief(seconds) == words
    assert len(words) <= 5


@pytest.mark.parametrize(
    "seconds, words", [(-1, "0 s"), (42, "42 s"), (720, "12 min"), (11_100, "3 h 05 min"), (187_200, "2 d 4 h")]
)
def test_a_countdown(seconds: float, words: str) -> None:
    assert rows.left(seconds) == words


def test_an_open_request_counts_up_and_one_that_is_done_stands() -> None:
    board = Board()
    board.heard(start("open"))
    board.heard(summary("done", timestamp=(NOW - 9) * 1000))
    shown = {row.key: row.cells[-1].plain for row in rows.request_rows(board, NOW + 61)}
    assert shown == {"open": "1m01", "done": "2.5s"}


@pytest.mark.parametrize(
    "model, words", [("claude-opus-4-1-20250805", "claude-opus-4-1"), ("gpt-5-2025-08-07", "gpt-5")]
)
def test_a_model_stands_without_its_day(model: str, words: str) -> None:
    assert rows.undated(model) == words
    assert rows.undated(words) == words


def test_a_session_with_an_open_request_is_at_it_now() -> None:
    board = Board(
        sessions=[Session(id="s-1", last_used=(NOW - 60) * 1000), Session(id="s-2", last_used=(NOW - 60) * 1000)]
    )
    board.heard(start("r"))
    first, second = rows.session_rows(board, NOW)
    assert first.cells[0].plain == "now"
    assert second.cells[0].plain != "now"


def test_accounts_stand_in_the_order_in_which_they_are_used() -> None:
    board = Board(accounts=[account(id="b", priority=1), account(id="c", name="z"), account(id="a", name="b")])
    assert [row.key for row in rows.account_rows(board, NOW)] == ["a", "c", "b"]


def test_names_are_shown_and_not_obeyed() -> None:
    board = Board(sessions=[Session(id="s", agent="[red]x[/]", project="a\x1b[2Jb", model="m\r\n")])
    [row] = rows.session_rows(board, NOW)
    shown = [cell.plain for cell in row.cells]
    assert "[red]x[/]" in shown
    assert "\x1b" not in "".join(shown)
    assert all(isinstance(cell, Text) for cell in row.cells)


@pytest.mark.parametrize("columns", [rows.ACCOUNTS, rows.SESSIONS, rows.REQUESTS])
def test_eighty_characters_are_enough_for_all_columns(columns: tuple[rows.Column, ...]) -> None:
    fixed = sum(column.width + 1 for column in columns if column.width)
    assert sum(not column.width for column in columns) == 1
    assert 80 - fixed >= 15
    assert all(len(column.title) <= column.width for column in columns if column.width)


def test_a_day_other_than_today_is_a_date() -> None:
    assert len(rows.clock(NOW, NOW)) == 8
    assert rows.clock(NOW - 5 * 86_400, NOW) == "16 Sep"
    assert rows.clock(None, NOW) == "-"


def test_cost_that_is_not_known_is_no_zero() -> None:
    assert (rows.cost(None), rows.cost(0), rows.cost(0.0154), rows.cost(12.341)) == ("-", "$0", "$0.0154", "$12.34")
