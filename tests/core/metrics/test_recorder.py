"""Writing down what turns add: in their order, off the loop, and nothing lost to a disk in trouble."""

import asyncio
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codemie_core.metrics import recorder as module
from codemie_core.metrics.journal import Journal
from codemie_core.metrics.recorder import RETRY, Recorder, recover
from codemie_core.metrics.session import new_session
from codemie_core.metrics.session_files import Found, SessionFiles
from codemie_core.places import Places
from codemie_core.usage.record import Record
from support.metrics_room import SESSION, SimulatedTime
from support.records import new_record

OTHER = "5e551071-0000-4000-8000-000000000002"


@pytest.fixture
def files(codemie_home: Path) -> SessionFiles:
    return SessionFiles(Places(codemie_home))


@pytest.fixture
def recorder(files: SessionFiles) -> Recorder:
    return Recorder(files, "ai-run-sso", SimulatedTime().sleep)


def written(files: SessionFiles, session_id: str = SESSION) -> list[int]:
    """The input tokens of each turn, in the order in which they were written."""
    found = files.find(session_id)
    deltas = [entry.delta for entry in found.journal.read().entries] if found else []
    return [delta.tokens.input for delta in deltas if delta.tokens is not None]


def turn(number: int) -> Record:
    record = new_record()
    return replace(record, usage=replace(record.usage, input=number))


async def test_turns_are_written_in_their_order_with_the_session_before_them(
    recorder: Recorder, files: SessionFiles
) -> None:
    for number in range(50):
        recorder.put(turn(number))
    await recorder.drain()
    assert written(files) == list(range(50))
    assert (recorder.written, recorder.waiting, recorder.lost) == (50, 0, 0)
    found = files.find(SESSION)
    assert found is not None
    assert found.ours


async def test_nothing_is_written_on_the_loop(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    real = Journal.append

    def noting(self: Journal, delta: object) -> None:
        threads.add(threading.current_thread())
        real(self, delta)  # type: ignore[arg-type] # what it was called with

    monkeypatch.setattr(Journal, "append", noting)
    recorder.put(new_record())
    await recorder.drain()
    assert threads
    assert threading.main_thread() not in threads


async def test_a_turn_of_no_model_is_not_written(recorder: Recorder, files: SessionFiles) -> None:
    recorder.put(new_record(api=""))
    await recorder.drain()
    assert files.all() == []


async def test_into_a_session_of_codemies_cli_nothing_is_written(recorder: Recorder, files: SessionFiles) -> None:
    made = new_session(new_record(), "ai-run-sso").on_disk()
    theirs = files.open(type(new_session(new_record(), "x")).model_validate({**made, "createdBy": ""}))
    before = theirs.path.read_bytes()
    recorder.put(new_record())
    await recorder.drain()
    assert (recorder.theirs, recorder.written, theirs.journal.path.exists()) == (1, 0, False)
    await recorder.close(1)
    assert theirs.path.read_bytes() == before


async def test_a_disk_that_takes_nothing_costs_one_warning_and_no_turn(
    recorder: Recorder, files: SessionFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [4]
    real = Journal.append

    def unwilling(self: Journal, delta: object) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OSError(28, "No space left on device")
        real(self, delta)  # type: ignore[arg-type] # what it was called with

    monkeypatch.setattr(Journal, "append", unwilling)
    time = SimulatedTime()
    recorder = Recorder(files, "ai-run-sso", time.sleep)
    caplog.set_level(logging.WARNING)
    for number in range(3):
        recorder.put(turn(number))
    task = recorder._task
    assert task is not None
    await asyncio.wait_for(task, 30)
    assert written(files) == [0, 1, 2]
    assert time.slept == [RETRY] * 4
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "Session metrics cannot be written",
        "Session metrics can be written again",
    ]


async def test_the_end_writes_once_more_what_the_disk_did_not_take(
    files: SessionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    def unwilling(*_: object) -> None:
        raise OSError(28, "No space left on device")

    asleep = asyncio.Event()
    recorder = Recorder(files, "ai-run-sso", for_ever)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", unwilling)
        recorder.put(new_record())
        await asleep.wait()
    assert recorder.trouble
    await recorder.drain()
    assert (recorder.waiting, recorder.written, recorder.trouble) == (0, 1, "")


async def test_memory_is_bounded_and_what_is_lost_is_counted(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for _ in range(5):
        recorder.put(new_record())
    assert (recorder.waiting, recorder.lost) == (3, 2)
    await recorder.drain()
    assert recorder.written == 3


async def test_sessions_of_this_process_end_with_it(recorder: Recorder, files: SessionFiles) -> None:
    recorder.put(new_record())
    await recorder.drain()
    other = files.open(new_session(new_record(session_id=OTHER), "ai-run-sso"))
    await recorder.close(1_800_000_009_000)
    closed = files.find(SESSION)
    assert closed is not None
    assert closed.session is not None
    assert (closed.session.status, closed.session.end_time) == ("completed", 1_800_000_009_000)
    assert other.session == files.find(OTHER).session  # type: ignore[union-attr] # it is there


async def test_sessions_of_a_proxy_that_died_are_recovered_those_of_others_left(files: SessionFiles) -> None:
    for session_id, run_id in ((SESSION, "dead"), (OTHER, "alive")):
        recorder = Recorder(files, "ai-run-sso")
        recorder.put(new_record(session_id=session_id, run_id=run_id))
        await recorder.drain()
    assert recover(files, ["alive", "mine"]) == 1
    states = {found.session_id: found.session for found in files.all() if found.session is not None}
    assert (states[SESSION].status, states[OTHER].status) == ("recovered", "active")
    assert states[SESSION].end_time == 1_800_000_002_500, "when its last turn ended"
    assert recover(files, ["alive"]) == 0


async def test_a_session_whose_file_takes_nothing_holds_up_no_other(files: SessionFiles) -> None:
    time = SimulatedTime()

    async def repaired(seconds: float) -> None:
        assert written(files) == [10, 11, 12]
        await time.sleep(seconds)
        (files.folder / f"{OTHER}_metrics.jsonl").rmdir()

    recorder = Recorder(files, "ai-run-sso", repaired)
    files.folder.mkdir(parents=True, mode=0o700)
    (files.folder / f"{OTHER}_metrics.jsonl").mkdir()
    for number in range(3):
        recorder.put(replace(turn(number), session_id=OTHER))
        recorder.put(turn(10 + number))
    assert recorder._task is not None
    await asyncio.wait_for(recorder._task, 30)
    assert written(files, OTHER) == [0, 1, 2]
    assert (time.slept, recorder.lost, recorder.trouble) == ([RETRY], 0, "")


async def test_a_disk_that_takes_no_end_of_a_session_does_not_keep_the_others_from_ending(
    recorder: Recorder, files: SessionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.put(new_record())
    recorder.put(new_record(session_id=OTHER))
    await recorder.drain()
    real = SessionFiles.close

    def unwilling(self: SessionFiles, found: Found, **told: Any) -> bool:
        if found.session_id == SESSION:
            raise OSError(28, "No space left on device")
        return real(self, found, **told)

    monkeypatch.setattr(SessionFiles, "close", unwilling)
    await recorder.close(1)
    found = files.find(OTHER)
    assert found is not None
    assert found.session is not None
    assert found.session.status == "completed"
    assert "No space left" in recorder.trouble


def cli_session(files: SessionFiles, name: str, conversation: str, **values: object) -> None:
    """As CodeMie's CLI makes it: under a name of its own."""
    session = {"sessionId": name, "agentName": "claude", "status": "active", **values}
    session["correlation"] = {"status": "matched", "agentSessionId": conversation}
    files.folder.mkdir(parents=True, exist_ok=True)
    (files.folder / f"{name}.json").write_text(json.dumps(session))


@pytest.mark.parametrize(
    ("name", "values", "counted"),
    [
        ("theirs", {}, False),
        ("completed_theirs", {}, True),
        ("theirs", {"status": "completed"}, True),
        ("theirs", {"createdBy": "codemie-proxy"}, True),
    ],
)
async def test_a_conversation_that_the_cli_counts_is_not_counted_twice(
    recorder: Recorder, files: SessionFiles, name: str, values: dict[str, object], counted: bool
) -> None:
    cli_session(files, name, turn(1).conversation_id, **values)
    recorder.put(turn(1))
    await recorder.drain()
    assert written(files) == ([1] if counted else [])
    assert recorder.theirs == (not counted)


async def test_a_session_of_the_cli_that_comes_later_is_noticed(files: SessionFiles) -> None:
    now = 1000.0
    recorder = Recorder(files, "ai-run-sso", SimulatedTime().sleep, lambda: now)
    recorder.put(turn(1))
    await recorder.drain()
    cli_session(files, "theirs", turn(1).conversation_id)
    for number, later in ((2, 59.0), (3, 60.0)):
        now = 1000.0 + later
        recorder.put(turn(number))
        await recorder.drain()
    assert written(files) == [1, 2]
