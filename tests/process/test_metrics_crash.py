"""Processes that are killed while they write and send session metrics, and somebody who appends without our lock."""

from pathlib import Path

from support.metrics_api import MetricsApi
from support.metrics_crash import Ordeal
from support.metrics_room import MetricsRoom

ROUNDS = 20


async def test_whatever_is_killed_every_record_is_counted_exactly_once(codemie_home: Path) -> None:
    with MetricsApi() as api:
        room = MetricsRoom(codemie_home, api)
        api.sign_in(room.places)
        ordeal = Ordeal(room, api, seed=20)
        ordeal.run(ROUNDS)
        await ordeal.settle()
        assert list(ordeal.problems()) == []
        # It was put to the test: keys came again, and deaths came at many points.
        assert len(api.came) > len(set(api.keys)) > ROUNDS / 2
        assert ordeal.deaths["not reached"] <= ROUNDS / 5, ordeal.deaths
        assert len(ordeal.deaths) >= 5, ordeal.deaths
