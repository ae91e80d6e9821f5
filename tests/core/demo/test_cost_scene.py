"""The scene of the history notices each number that is not the upstream's. Here the test itself is the proxy."""

import json
from typing import Any

import pytest

from codemie_core.demo import stage
from codemie_core.demo.accounts_scene import KEYS
from codemie_core.demo.cost_scene import expected_cost, what_it_cost
from codemie_core.demo.script import Step
from codemie_core.demo.stage import SceneFailed
from support.no_proxy import NoProxy, without_proxy

TOLD: dict[str, Any] = {
    "requests": 2,
    "input_tokens": 312 + 9,
    "cache_read_tokens": 12_152,
    "cache_write_tokens": 11_840 + 214,
    "output_tokens": 96 + 41,
    "cost_nano_usd": 86_443_500,
    "tools": [{"name": "Edit", "calls": 1, "ok": 1}],
    "files": [{"path": "src/tax.py", "lines_added": 3, "lines_removed": 2}],
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.1)


def tell(monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    """The command line says what is true, with these things changed."""

    async def command(self: NoProxy, *arguments: str, typed: str = "") -> str:
        assert arguments[:2] == ("stats", "--last-session")
        return json.dumps(TOLD | changed) if arguments[2:] == ("--json",) else "Cost  $0.0864\n"

    monkeypatch.setattr(NoProxy, "command", command)


def test_the_cost_is_the_product_of_published_prices_and_counts() -> None:
    # Input $5, read from the cache $0.50, written to it $6.25, output $25 per million.
    assert expected_cost() == 321 * 5_000 + 12_152 * 500 + 12_054 * 6_250 + 137 * 25_000 == TOLD["cost_nano_usd"]


async def test_a_history_that_is_true_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch)
    async with without_proxy() as made:
        await what_it_cost(made)


@pytest.mark.parametrize(
    "changed, problem",
    [
        ({"requests": 1}, "the last session has both turns"),
        ({"input_tokens": 24_527}, "the upstream's input tokens"),
        ({"cache_read_tokens": None}, "the upstream's cache_read tokens"),
        ({"cache_write_tokens": 11_840}, "the upstream's cache_write tokens"),
        ({"output_tokens": 137 + 2}, "the upstream's output tokens"),
        ({"cost_nano_usd": 86_443_501}, "the cost is the price list's"),
        ({"cost_nano_usd": None}, "the cost is the price list's"),
        ({"tools": []}, "the tool's call"),
        ({"tools": [{"name": "Edit", "calls": 1, "ok": 0}]}, "the tool's call"),
        ({"files": []}, "the lines that the tool changed"),
        ({"files": [{"path": "src/tax.py", "lines_added": 3, "lines_removed": None}]}, "the lines"),
    ],
)
async def test_each_wrong_number_is_noticed(
    changed: dict[str, object], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, **changed)
    async with without_proxy() as made:
        with pytest.raises(SceneFailed, match=problem):
            await what_it_cost(made)


async def test_a_turn_that_does_not_arrive_as_it_was_sent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch)
    async with without_proxy() as made:
        monkeypatch.setattr(made.upstream, "script", lambda **steps: None)
        with pytest.raises(SceneFailed, match="the client got each turn as it was sent"):
            await what_it_cost(made)


async def test_the_limit_of_the_scene_before_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch)
    async with without_proxy() as made:
        made.upstream.script_for(KEYS["first"], then=Step(status=429))
        made.client.headers["x-api-key"] = KEYS["first"]
        await what_it_cost(made)
