from codemie_core.cli import history_json
from codemie_core.store.figures import Figures
from codemie_core.store.requests import Turn
from support.turn_rows import NOW, new_turn


def test_what_is_unknown_is_null_and_money_is_in_dollars() -> None:
    shown = history_json.figures(Figures(requests=2, unpriced=2))
    assert (shown["cost_usd"], shown["cost_nano_usd"], shown["unpriced"]) == (None, None, 2)
    assert (shown["prompt_tokens"], shown["first"], shown["error_rate"]) == (None, None, 0.0)
    assert history_json.figures(Figures(cost_nano_usd=15_411_000))["cost_usd"] == 0.015411


def test_a_turn_is_told_with_all_that_belongs_to_it() -> None:
    row = new_turn(1, started_ms=NOW, server_tools='{"web_search": 2}', cost_input=36_000, attempts=2, tool_calls=1)
    call = {"request_id": row["id"], "conversation_id": "c", "n": 0, "call_id": "call-1", "name": "Write", "ok": None}
    shown = history_json.turn(Turn(row, tool_calls=(call,)))
    assert shown["started"] == "2026-11-04T15:30:00.000+00:00"
    assert shown["server_tools"] == {"web_search": 2}
    assert (shown["cost_usd"], shown["cost_nano_usd"], shown["cost_input_usd"]) == (0.015411, 15_411_000, 0.000036)
    assert (shown["tried"], shown["tools_called"], shown["attempts"]) == (2, 1, [])
    assert shown["tools"] == [{"n": 0, "call_id": "call-1", "name": "Write", "ok": None}]
    assert shown["reasoning_tokens"] is None
