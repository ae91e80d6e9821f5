import pytest

from codemie_core.admin.stats import stats
from support.history_cli import keep, some_turns
from support.planes import plane_of
from support.turn_rows import new_turn


async def test_without_history_all_is_zero() -> None:
    async with plane_of() as room:
        told = (await stats(room.plane)).model_dump()
    assert told == {
        "totalRequests": 0,
        "successRate": 0,
        "activeAccounts": 0,
        "avgResponseTime": 0.0,
        "totalTokens": 0,
        "totalCostUsd": 0.0,
        "avgTokensPerSecond": None,
        "topModels": [],
        "accounts": [],
        "recentErrors": [],
    }


async def test_the_numbers_of_all_time() -> None:
    keep([*some_turns(), new_turn(6, account="")])
    async with plane_of() as room:
        told = await stats(room.plane)
    assert (told.total_requests, told.success_rate, told.active_accounts) == (6, 83, 2)
    assert told.total_cost_usd == pytest.approx(1.546233)
    assert told.total_tokens == 5 * (12 + 30_000 + 500 + 300)
    assert [(one.model, one.count) for one in told.top_models] == [
        ("claude-sonnet-4-5-20250929", 5),
        ("local-model", 1),
    ]
    assert sum(one.percentage for one in told.top_models) == pytest.approx(100)
    assert {one.name: (one.request_count, round(one.success_rate)) for one in told.accounts} == {
        "main": (4, 75),
        "spare": (1, 100),
        "no_account": (1, 100),
    }
    assert told.recent_errors == ["529: overloaded_error"]


async def test_errors_are_told_without_secrets_and_the_newest_first() -> None:
    keep(
        [
            new_turn(1, ok=False, status=401, error="bad key sk-ant-api03-" + "planted0" * 8, started_ms=1),
            new_turn(2, ok=False, status=200, terminal="client_cancelled", error="", started_ms=2),
        ]
    )
    async with plane_of() as room:
        errors = (await stats(room.plane)).recent_errors
    assert errors[0] == "client cancelled"
    assert errors[1].startswith("401: bad key")
    assert "planted" not in errors[1]
