"""What the operator's side reaches of the proxy, and what it says when it cannot."""

import threading

import pytest
from sqlalchemy import Connection, text

from codemie_core.admin.plane import THREADS
from codemie_core.admin.problems import Unavailable
from codemie_core.store import audit
from codemie_core.store.place import DatabaseTrouble
from support.planes import plane_of


async def test_addons_are_found_by_name_and_what_is_not_loaded_is_none() -> None:
    async with plane_of() as room:
        found = room.plane.addon("admin_server")
        assert found is not None
        assert found.name == "admin_server"
        assert (room.plane.addon("no_such"), room.plane.pool, room.plane.keeper) == (None, None, None)


async def test_the_database_is_read_and_written_in_threads_of_its_own() -> None:
    async with plane_of() as room:
        assert await room.plane.read(lambda connection: connection.scalar(text("SELECT 7"))) == 7
        names = {await room.plane.in_thread(lambda: threading.current_thread().name) for _ in range(3)}
        assert names == {"admin"}
        await room.plane.audit("stats reset", "asked for", "dashboard")
        events = await room.plane.read(lambda connection: list(audit.events(connection)))
    assert "stats reset" in str(events[0])


async def test_a_write_that_fails_changes_nothing() -> None:
    async with plane_of() as room:

        def half(connection: Connection) -> None:
            audit.record(connection, "", "", "half", "", "dashboard", room.plane.clock)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await room.plane.write(half)
        assert await room.plane.read(lambda connection: list(audit.events(connection))) == []


async def test_a_question_that_hangs_is_given_up_and_the_next_one_is_answered() -> None:
    gate = threading.Event()
    async with plane_of() as room:
        try:
            for _ in range(THREADS - 1):
                with pytest.raises(Unavailable, match="took too long"):
                    await room.plane.in_thread(lambda: gate.wait(30), within=0.01)
            assert await room.plane.in_thread(lambda: "well") == "well"
        finally:
            gate.set()


async def test_trouble_with_the_database_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(*_: object) -> None:
        raise DatabaseTrouble("the disk is full")

    async with plane_of() as room:
        monkeypatch.setattr("codemie_core.admin.plane.take_store", trouble)
        with pytest.raises(Unavailable, match="the disk is full"):
            await room.plane.read(lambda connection: None)


async def test_closed_it_can_be_asked_again() -> None:
    async with plane_of() as room:
        for _ in range(2):
            assert await room.plane.read(lambda connection: connection.scalar(text("SELECT 1"))) == 1
            await room.plane.close()
