"""Processes that are killed while they write and send session metrics, and somebody who appends without our lock."""

from pathlib import Path

from support.metrics_api import MetricsApi
from support.metrics_crash import Ordeal
from support.metrics_room import MetricsRoom


async def test_whatever_is_killed_every_record_is_counted_exactly_once(codemie_home: Path) -> None:
    with MetricsApi() as api:
        room = MetricsRoom(codemie_home, api)
        api.sign_in(room.places)
        ordeal = Ordeal(room, api, seed=20)
        ordeal.run(20)
        await ordeal.settle()
        marks, counted = ordeal.marks(), ordeal.counted()
        assert ordeal.acknowledged() <= marks.keys(), "written records are gone"
        assert {name for name, mark in marks.items() if mark != "synced"} == set()
        assert counted == dict.fromkeys(marks, 1)
        assert list(ordeal.differing()) == []
        print(ordeal.deaths, len(api.came), len(set(api.keys)), len(marks))
        # It was put to the test: keys came again, and deaths came everywhere.
        assert len(api.came) > len(set(api.keys)) > 20
        assert sum(ordeal.deaths.values()) == 20 and ordeal.deaths["not reached"] < 3, ordeal.deaths
