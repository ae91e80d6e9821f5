"""Rounds beside each other, sessions of others, and what would be sent."""

import asyncio
import os
from pathlib import Path

import pytest

from codemie_core.metrics.journal import Journal
from codemie_core.metrics.lease import Lease
from codemie_core.places import Places
from support.metrics_api import DOWN, TAKEN, MetricsApi, Reply
from support.metrics_room import SESSION, MetricsRoom

OTHER = "5e551071-0000-4000-8000-000000000002"


async def test_while_another_process_is_at_it_nothing_is_done(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    lease = Lease(room.places)
    assert lease.take()
    assert (await room.round()).busy
    assert api.came == []
    lease.release()
    assert (await room.round()).sent == 1


async def test_of_two_rounds_at_once_one_does_it(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    first, second = room.service(), room.service()
    reports = await asyncio.gather(first.round(), second.round())
    assert sorted(report.busy for report in reports) == [False, True]
    assert len(api.came) == 1


async def test_a_round_that_is_cancelled_lets_go_and_is_taken_up_by_the_next(
    room: MetricsRoom, api: MetricsApi
) -> None:
    room.add(room.session(), "a")
    api.script(Reply(hangs=True))
    service = room.service()
    task = asyncio.get_running_loop().create_task(service.round())
    await asyncio.to_thread(api.wait_for, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await room.round()).sent == 1
    assert len({(came.key, came.body) for came in api.came}) == 1


async def test_sessions_of_codemies_cli_are_left_to_it(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.foreign(SESSION), "a")
    report = await room.round()
    assert (report.sent, report.waiting, api.came) == (0, 0, [])
    assert room.marks() == {"a": "pending"}


async def test_sessions_of_codemies_cli_are_sent_when_its_own_sync_is_off(room: MetricsRoom, api: MetricsApi) -> None:
    found = room.foreign(SESSION)
    room.add(found, "a")
    room.environ["CODEMIE_SESSION_SYNC_ENABLED"] = "false"
    metadata = found.path.read_bytes()
    assert (await room.round()).sent == 1
    assert room.marks() == {"a": "synced"}
    assert found.path.read_bytes() == metadata, "its metadata is its own"


@pytest.mark.parametrize(
    "fields",
    [{"origin": "external-resume"}, {"correlation": {"status": "pending"}}, {"correlation": {"status": "failed"}}],
)
async def test_sessions_that_codemie_would_not_send_are_not_sent(
    room: MetricsRoom, api: MetricsApi, fields: dict[str, object]
) -> None:
    room.environ["CODEMIE_SESSION_SYNC_ENABLED"] = "0"
    room.add(room.foreign(SESSION, **fields), "a")
    await room.round()
    assert api.came == []


async def test_what_would_be_sent_is_what_is_sent(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    api.then = DOWN
    await room.round()
    room.add(room.session(), "b")
    room.add(room.session(OTHER), "c")
    before, came = room.marks(), len(api.came)
    letters = await room.service().preview()
    assert (room.marks(), len(api.came), len(room.batches())) == (before, came, 1)
    api.then = TAKEN
    await room.round()
    sent = api.came[came:]
    assert [(letter.key, letter.body) for letter in letters] == [(each.key, each.body) for each in sent]
    for letter, each in zip(letters, sent, strict=True):
        assert {name: each.header(name) for name in letter.headers} == letter.headers


async def test_looking_makes_no_database(codemie_home: Path, room: MetricsRoom) -> None:
    room.add(room.session(), "a")
    assert len(await room.service().preview()) == 1
    assert not (Places(codemie_home).proxy / "proxy.db").exists()


async def test_with_nothing_to_send_there_is_no_database_either(codemie_home: Path, room: MetricsRoom) -> None:
    room.session()
    assert (await room.round()).problem == ""
    assert not (Places(codemie_home).proxy / "proxy.db").exists()


async def test_without_a_usable_database_delivery_waits_and_nothing_is_lost(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    file = room.places.proxy / "proxy.db"
    room.places.ensure_private(room.places.proxy)
    file.write_bytes(b"this is no database" * 100)
    report = await room.round()
    assert (report.sent, api.came) == (0, [])
    assert "database" in report.problem
    assert room.marks() == {"a": "pending"}
    file.unlink()
    assert (await room.round()).sent == 1


async def test_a_file_with_nothing_to_send_is_not_read_again_until_it_changes(
    room: MetricsRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = room.session()
    room.add(found, "a")
    service = room.service()
    await service.round()
    read: list[Path] = []
    real = Journal.read

    def counting(self: Journal) -> object:
        read.append(self.path)
        return real(self)

    await service.round()
    monkeypatch.setattr(Journal, "read", counting)
    await service.round()
    assert read == []
    room.add(found, "b")
    assert (await service.round()).sent == 1


async def test_a_file_that_cannot_be_read_is_named_and_holds_up_no_other(room: MetricsRoom, api: MetricsApi) -> None:
    other = room.session(OTHER)
    os.mkfifo(other.journal.path)
    room.add(room.session(), "a")
    report = await asyncio.wait_for(room.round(), 60)
    assert (report.sent, api.came[0].attributes["count"]) == (1, 1)
    assert other.journal.path.name in report.problem
