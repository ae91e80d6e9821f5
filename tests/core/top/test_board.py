from codemie_core.top.board import MOST_REQUESTS, Board
from codemie_core.top.shapes import Request
from support.top_admin import NOW, start, summary


def test_a_request_goes_from_waiting_to_its_summary_and_keeps_what_was_said_before() -> None:
    board = Board()
    assert board.heard(start("r", accountUsed="work"))
    [turn] = board.turns
    assert (turn.open, turn.request.model, board.open) == (True, "claude-sonnet-4-5", 1)
    assert board.heard({"type": "first_token", "id": "r", "model": None})
    assert board.turns[0].state == "first_token"
    assert board.heard(summary("r", totalTokens=12))
    [turn] = board.turns
    assert (turn.open, turn.request.account_used, turn.request.total_tokens) == (False, "work", 12)
    assert turn.request.model == "claude-sonnet-4-5"


def test_a_second_summary_brings_what_was_counted() -> None:
    board = Board()
    board.heard(summary("r"))
    assert board.heard(summary("r", costUsd=0.5))
    assert board.turns[0].request.cost_usd == 0.5


def test_progress_that_comes_after_the_end_changes_nothing() -> None:
    board = Board()
    board.heard(summary("r"))
    assert not board.heard({"type": "progress", "id": "r"})
    assert not board.turns[0].open


def test_what_is_no_event_changes_nothing() -> None:
    board = Board()
    for event in ({"type": "summary"}, {"type": "start"}, {"type": "else", "id": "r"}, {}):
        assert not board.heard(event)
    assert board.turns == []


def test_the_newest_stand_first_also_of_one_moment() -> None:
    board = Board()
    for request_id, at in (("a", NOW), ("c", NOW + 2), ("b", NOW + 2)):
        board.heard(start(request_id, timestamp=at * 1000))
    assert [turn.request.id for turn in board.turns] == ["b", "c", "a"]


def test_a_live_stream_that_broke_off_leaves_what_is_done() -> None:
    board = Board()
    board.heard(start("open"))
    board.heard(summary("done"))
    board.lost()
    assert [turn.request.id for turn in board.turns] == ["done"]


def test_the_history_stands_beside_what_is_heard() -> None:
    board = Board()
    board.heard(start("open"))
    board.loaded([Request(id="old", timestamp=(NOW - 100) * 1000)])
    assert [(turn.request.id, turn.open) for turn in board.turns] == [("open", True), ("old", False)]
    assert (board.since(NOW), board.since(NOW - 100), board.since(NOW + 1)) == (1, 2, 0)


def test_the_oldest_that_are_done_are_forgotten_first() -> None:
    board = Board()
    board.heard(start("open", timestamp=1))
    board.loaded(Request(id=str(n), timestamp=NOW + n) for n in range(MOST_REQUESTS))
    kept = {turn.request.id for turn in board.turns}
    assert len(kept) == MOST_REQUESTS
    assert "open" in kept
    assert "0" not in kept
