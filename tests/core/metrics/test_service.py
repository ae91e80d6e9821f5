"""From a turn to the API: an outage of an hour, an end with a slow server, the next start after a crash."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from codemie_core.metrics.service import Service
from support.metrics_api import DOWN, LOGIN_PAGE, TAKEN, UNAUTHORIZED, Came, MetricsApi, Reply
from support.metrics_room import SESSION, MetricsRoom
from support.records import new_record

HOST = "127.0.0.1"


class Stopwatch:
    """Ends a service's loop after so many rounds: the sleep between them never returns then."""

    def __init__(self, room: MetricsRoom, rounds: int) -> None:
        self._room, self._left, self.over = room, rounds, asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self._room.time.sleep(seconds)
        if seconds == self._room.wanted.interval:
            self._left -= 1
            if not self._left:
                self.over.set()
                await asyncio.Event().wait()


def service_of(room: MetricsRoom, sleep: object) -> Service:
    return Service(
        room.places, room.environ, room.profile, room.wanted, "run",
        clock=room.time, sleep=sleep,  # type: ignore[arg-type] # a bound method
    )  # fmt: skip


async def test_an_hours_outage_costs_nothing_but_time(
    room: MetricsRoom, api: MetricsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """503, then no answer, then the login page, then a 401: an hour of it, a turn every five minutes."""
    began = room.time.now
    caplog.set_level(logging.WARNING)

    def choose(came: Came) -> Reply:
        minutes = (room.time.now - began) / 60
        if minutes >= 60:
            return TAKEN
        return (DOWN, Reply(drops=True), LOGIN_PAGE, UNAUTHORIZED)[int(minutes // 15)]

    api.choose = choose
    watch = Stopwatch(room, 14)
    found, told = room.session(), 0

    async def sleep(seconds: float) -> None:
        nonlocal told
        if seconds == room.wanted.interval:
            room.add(found, f"turn-{told}")
            told += 1
        await watch.sleep(seconds)

    room.add(found, "first")
    service = service_of(room, sleep)
    service.begin()
    async with asyncio.timeout(30):
        await watch.over.wait()
    await service.end(20)
    assert set(room.marks()) == {"first", *(f"turn-{number}" for number in range(told))}
    assert set(room.marks().values()) == {"synced"}
    bodies = {came.key: came.body for came in api.came}
    assert all(came.body == bodies[came.key] for came in api.came)
    counted = [came for came in api.came if came.reply is TAKEN]
    assert sum(came.attributes["total_tool_calls"] for came in counted) == told + 1
    assert len(counted) < told / 2 + 1, "what piled up goes out together"
    warnings = [record.message for record in caplog.records if "wait and are tried again" in record.message]
    assert 1 <= len(warnings) <= 5, warnings


async def test_the_end_sends_what_is_left(room: MetricsRoom, api: MetricsApi) -> None:
    service = room.service()
    service.recorder.put(new_record(host=HOST))
    await service.end(20)
    [came] = api.came
    assert came.attributes["total_user_prompts"] == 1
    found = room.files.find(SESSION)
    assert found is not None
    assert found.session is not None
    assert found.session.status == "completed"
    assert set(room.marks().values()) == {"synced"}


async def test_a_slow_server_does_not_hold_up_the_end_and_nothing_is_lost(
    room: MetricsRoom, api: MetricsApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.then = Reply(hangs=True, counts=True)
    service = room.service()
    service.recorder.put(new_record())
    await service.recorder.drain()
    began = time.monotonic()
    await service.end(0.5)
    # It hangs for a minute.
    assert time.monotonic() - began < 50
    assert "the next start sends them" in caplog.text
    assert set(room.marks().values()) == {"pending"}
    api.then = TAKEN
    assert (await room.round()).problem == ""
    assert set(room.marks().values()) == {"synced"}
    assert len({(came.key, came.body) for came in api.came}) == 1


async def test_a_round_under_way_at_the_end_is_waited_for_and_not_repeated(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    service = room.service()
    task = asyncio.get_running_loop().create_task(service.round())
    await asyncio.to_thread(api.wait_for, 1)
    await service.end(20)
    assert (await task).sent == 1
    assert len(api.came) == 1


async def test_what_a_dead_process_left_is_sent_at_the_next_start(room: MetricsRoom, api: MetricsApi) -> None:
    dead = room.service()
    dead.recorder.put(new_record(run_id="of a dead process"))
    await dead.recorder.drain()
    watch = Stopwatch(room, 1)
    service = service_of(room, watch.sleep)
    service.begin()
    async with asyncio.timeout(30):
        await watch.over.wait()
    await service.close()
    assert len(api.came) == 1
    found = room.files.find(SESSION)
    assert found is not None
    assert found.session is not None
    assert found.session.status == "recovered"


@pytest.mark.parametrize("change", [{"enabled": False}, {"dry_run": True}])
async def test_switched_off_it_writes_and_sends_nothing(
    room: MetricsRoom, api: MetricsApi, change: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    room.wanted = replace(room.wanted, **change)  # type: ignore[arg-type] # of the field's type
    watch = Stopwatch(room, 2)
    service = service_of(room, watch.sleep)
    service.recorder.put(new_record())
    await service.recorder.drain()
    service.begin()
    async with asyncio.timeout(30):
        await watch.over.wait()
    await service.end(20)
    assert api.came == []
    assert set(room.marks().values()) == {"pending"}
    assert ("would be sent" in caplog.text) == ("dry_run" in change)
    assert service.shown()["sync"] == ("dry run" if "dry_run" in change else "off")


async def test_health_says_what_is_written_sent_and_waiting(room: MetricsRoom, api: MetricsApi) -> None:
    service = room.service()
    service.recorder.put(new_record())
    await service.recorder.drain()
    api.then = DOWN
    await service.round()
    shown = service.shown()
    assert (shown["written"], shown["sent"], shown["waiting"]) == (1, 0, 1)
    assert "503" in str(shown["problem"])
    api.then = TAKEN
    await service.round()
    shown = service.shown()
    assert (shown["sent"], shown["waiting"], shown["problem"]) == (1, 0, "")


async def test_a_mistake_of_our_own_does_not_end_the_rounds(
    room: MetricsRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Stopwatch(room, 3)
    service = service_of(room, watch.sleep)

    async def broken() -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(service, "round", broken)
    service.begin()
    async with asyncio.timeout(30):
        await watch.over.wait()
    await service.close()
    assert caplog.text.count("RuntimeError") == 1
    assert "planted" not in caplog.text
