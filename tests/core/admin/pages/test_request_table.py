from typing import Any

from codemie_core.admin.live_events import LiveRequest
from codemie_core.admin.pages.request_table import COLUMNS, LIST, row_of, row_of_live
from codemie_core.admin.request_rows import summary
from codemie_core.usage.usage import Usage
from support.turn_rows import new_turn


def live(**about: Any) -> LiveRequest:
    known: dict[str, Any] = {
        "id": "one",
        "timestamp_ms": 1000,
        "method": "POST",
        "host": "api.test",
        "path": "/v1/messages",
        "agent": "claude",
        "conversation": "",
        "session": "s",
        "model": "opus",
        "account": "main",
        "client_key": "",
        "status": None,
        "attempts": 1,
        "elapsed_ms": 250.0,
    }
    return LiveRequest(**{**known, **about})


def test_a_row_has_a_cell_for_every_column() -> None:
    for row in (row_of(summary(new_turn())), row_of_live(live())):
        assert {column.key for column in (*COLUMNS, *LIST)} <= row.keys()
        assert row["href"] == f"/requests/{row['id']}"


def test_what_is_under_way_counts_up_and_stands_out() -> None:
    waiting, streaming = row_of_live(live()), row_of_live(live(first_byte_ms=80.0, status=200))
    assert (waiting["state"], streaming["state"]) == (["waiting", "live"], ["streaming", "live"])
    assert streaming["first"] == 80.0
    assert waiting["css"] == streaming["css"] == "open"
    assert waiting["since"] == {"took": 1000}


def test_what_has_ended_stands_still_and_has_its_figures() -> None:
    usage = Usage(input=10, cache_read=30, output=5)
    row = row_of_live(live(terminal="complete", ok=True, status=200, usage=usage, cost_nano_usd=2_000_000, attempts=3))
    assert row["state"] == ["complete · 3 tries", "good"]
    assert (row["css"], row["since"]) == ("", None)
    assert (row["input"], row["cached"], row["cost"]) == (40, 75.0, 0.002)


def test_a_kept_one_and_a_live_one_of_the_same_turn_look_alike() -> None:
    kept = row_of(summary(new_turn(id="one", status=429, ok=False, attempts=2, agent="claude")))
    assert kept["state"] == ["429 · 2 tries", "bad"]
    assert kept["agent"] == "Claude Code"
    assert kept.keys() == row_of_live(live()).keys()
