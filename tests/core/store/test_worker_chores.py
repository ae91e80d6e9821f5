"""Chores of the store's thread: done when there is time, and in nobody's way."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import Connection

from codemie_core.places import Places
from codemie_core.store import worker as store_worker
from codemie_core.store.database import Database, open_database, revision_of
from codemie_core.store.settings import load_settings, put_setting
from codemie_core.store.worker import StoreWorker
from support.works import eventually, names, put, warnings


async def test_a_chore_is_done_from_time_to_time_between_the_works_of_others(worker: StoreWorker) -> None:
    steps: list[int] = []
    begun, asked = threading.Event(), threading.Event()

    def chore(connection: Connection) -> float:
        steps.append(len(steps))
        put_setting(connection, "chore", len(steps))
        if len(steps) == 10:
            begun.set()
            assert asked.wait(60)
        return 0.0 if len(steps) < 50 else 3600.0

    worker.chore(chore, 0.0)
    assert await asyncio.to_thread(begun.wait, 60)
    call = asyncio.ensure_future(worker.call(lambda _: len(steps), writing=False))  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    asked.set()
    async with asyncio.timeout(60):
        assert await call == 10, "what is asked for during a step is done before the next"
    await asyncio.to_thread(eventually, lambda: len(steps) == 50)
    worker.chore(chore, None)
    assert await worker.call(load_settings, writing=False) == {"chore": 50}


def test_a_chore_that_another_process_is_in_the_way_of_is_quietly_done_later(
    worker: StoreWorker,
    places: Places,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(store_worker, "RETRY", 0.05)
    done = threading.Event()

    def chore(_: Connection) -> float:
        done.set()
        return 3600.0

    other = open_database(places, environ)
    with other.writing():
        worker.chore(chore, 0.0)
        # Whoever waited for the other process would wait for good.
        asyncio.run(worker.call(revision_of, writing=False))
        assert not done.wait(0.3)
    assert done.wait(60)
    assert not warnings(caplog)
    other.close()


def test_a_chore_that_fails_is_told_and_harms_nobody(
    worker: StoreWorker, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    worker.chore(lambda _: 1 / 0, 0.0)
    eventually(lambda: warnings(caplog))
    worker.post(put("a"))
    eventually(lambda: names(database) == {"a"})
    assert warnings(caplog) == ["What is old cannot be tidied up: division by zero"]


def test_an_end_does_not_wait_for_chores(database: Database) -> None:
    worker = StoreWorker(database)
    worker.chore(lambda _: 0.0, 0.0)
    assert worker.close(60.0)
