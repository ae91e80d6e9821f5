"""The writer's thread: it keeps order, never makes anybody wait, and tells what it could not write."""

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codemie_core.logs import log_writer
from codemie_core.logs.body_sample import BodySample
from codemie_core.logs.log_file import DAY, LogFile
from codemie_core.logs.log_line import LineFormat
from codemie_core.logs.log_record import Asked, Ended, Record, Said
from codemie_core.logs.log_writer import BATCH, LogWriter
from codemie_core.places import Places
from support import logged
from support.turns import exchange_like

TODAY = 20_484  # 2026-01-31
NAME = "debug-2026-01-31.log"
AT = TODAY * DAY + 1.0
PATIENCE = 60.0
"""Seconds for whatever must come to pass."""


class Room:
    """A writer in a home of its own, with clocks that stand still."""

    def __init__(self, home: Path) -> None:
        self.places = Places(home)
        self.now = 0.0
        self.told: list[str | None] = []
        self.file = LogFile(self.places, 5, lambda: AT)
        self.writer = self.make(LineFormat().render)

    def make(self, render: Callable[[Record], str], max_queue: int = 10_000) -> LogWriter:
        self.writer = LogWriter(self.file, render, max_queue, self.told.append, lambda: AT, lambda: self.now)
        return self.writer

    def say(self, *texts: str, at: float = AT) -> None:
        for text in texts:
            self.writer.put(Said(at, logging.WARNING, "test", text))

    def written(self, name: str = NAME) -> list[str]:
        path = self.places.logs / name
        return [entry.words for entry in logged.entries(path.read_text())] if path.is_file() else []

    def wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < deadline, (self.writer.shown(), self.told, self.written())
            time.sleep(0.005)


@pytest.fixture
def room(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(log_writer, "PAUSE", 0.01)
    made = Room(codemie_home)
    yield made
    if made.writer._thread.is_alive():
        assert made.writer.stop(PATIENCE)


def test_records_are_written_in_their_order(room: Room) -> None:
    texts = [str(number) for number in range(3 * BATCH)]
    room.writer.start()
    room.say(*texts)
    room.wait(lambda: room.writer.written == len(texts))
    assert room.written() == texts
    assert room.told == []


def test_a_record_after_a_long_silence_wakes_the_thread(room: Room) -> None:
    room.writer.start()
    for number in range(20):
        room.wait(lambda: room.writer._idle)
        room.say(str(number))
        room.wait(lambda number=number: room.writer.written == number + 1)  # type: ignore[misc]  # binds the number


def test_what_is_there_at_the_end_is_still_written(room: Room) -> None:
    room.writer.start()
    room.say(*map(str, range(500)))
    assert room.writer.stop(PATIENCE)
    assert len(room.written()) == 500


def test_the_end_does_not_wait_for_ever(room: Room) -> None:
    gate = threading.Event()

    def stuck(_: Record) -> str:
        gate.wait(PATIENCE)
        return ""

    writer = room.make(stuck)
    writer.start()
    room.say("one")
    assert not writer.stop(0.05), "it was waited for until it had ended"
    gate.set()
    assert writer.stop(PATIENCE)


def test_records_of_two_days_go_into_two_files(room: Room) -> None:
    room.writer.start()
    room.say("late", at=(TODAY + 1) * DAY - 0.001)
    room.say("early", at=(TODAY + 1) * DAY)
    room.wait(lambda: room.writer.written == 2)
    assert (room.written(), room.written("debug-2026-02-01.log")) == (["late"], ["early"])


def test_beyond_the_bound_records_are_dropped_counted_and_missed(room: Room) -> None:
    gate, busy = threading.Event(), threading.Event()
    lines = LineFormat()

    def slow(record: Record) -> str:
        busy.set()
        assert gate.wait(2 * PATIENCE)
        return lines.render(record)

    writer = room.make(slow, max_queue=100)
    writer.start()
    room.say("first")
    assert busy.wait(PATIENCE)
    began = time.monotonic()
    room.say(*map(str, range(1000)))
    # Each of 900 would have waited.
    assert time.monotonic() - began < PATIENCE / 2, "put has waited"
    assert (writer.dropped, writer.shown()["queued"]) == (900, 100)
    gate.set()
    room.wait(lambda: writer.written == 101)
    missing = "900 records are missing here: more came than could be written"
    assert room.written() == ["first", missing, *map(str, range(100))]
    room.say("after")
    room.wait(lambda: writer.written == 102)
    assert room.written()[-1] == "after"


def test_bodies_that_wait_are_bounded_in_bytes(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_HELD", 10_000)
    sample = BodySample(4096)
    sample(b"x" * 4000)
    record = Asked(AT, logged.exchange(), "m", "/", (), 4000, sample)
    for _ in range(5):
        room.writer.put(record, sample.held)
    assert room.writer.dropped == 3
    room.writer.start()
    room.wait(lambda: room.writer.written == 2)
    room.writer.put(record, sample.held)
    room.wait(lambda: room.writer.written == 3)


def test_a_full_disk_costs_its_records_and_one_warning(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.places.logs.mkdir(parents=True)
    path = room.places.logs / NAME
    path.symlink_to("/dev/full")
    room.writer.start()
    for number in range(5):
        room.say(str(number))
        room.wait(lambda number=number: room.writer.lost == number + 1)  # type: ignore[misc]  # binds the number
    words = f"{room.places.logs} cannot be written (No space left on device)"
    assert room.told == [words]
    assert room.writer.shown() == {"written": 0, "dropped": 0, "lost": 5, "queued": 0, "problem": words}
    assert [(record.levelname, words in record.message) for record in caplog.records] == [("WARNING", True)]

    room.now += log_writer.RETRY
    room.say("still full")
    room.wait(lambda: room.writer.lost == 6)
    path.unlink()
    room.say("too early")
    room.wait(lambda: room.writer.lost == 7)
    assert room.written() == []
    room.now += log_writer.RETRY
    room.say("there is room")
    room.wait(lambda: room.writer.written == 1)
    assert room.written() == [f"7 records are missing here: {words}", "there is room"]
    room.wait(lambda: room.told == [words, None])
    assert room.writer.shown()["problem"] is None
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_made_costs_the_same(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.places.home.mkdir()
    room.places.logs.write_text("not a folder")
    room.writer.start()
    room.say("one")
    room.wait(lambda: len(room.told) == 1)
    assert len(caplog.records) == 1
    room.places.logs.unlink()
    room.now += log_writer.RETRY
    room.say("two")
    room.wait(lambda: room.writer.written == 1)
    assert room.written()[-1] == "two"


def test_a_folder_that_vanishes_costs_nothing_that_comes_later(room: Room) -> None:
    room.writer.start()
    room.say("one")
    room.wait(lambda: room.writer.written == 1)
    shutil.rmtree(room.places.home)
    room.say("two")
    room.wait(lambda: room.writer.written == 2)
    assert (room.written(), room.told) == (["two"], [])


def test_a_record_that_cannot_be_rendered_harms_no_other(room: Room) -> None:
    lines = LineFormat()

    def picky(record: Record) -> str:
        if isinstance(record, Said) and record.text == "bad":
            raise ValueError("planted")
        return lines.render(record)

    room.make(picky).start()
    room.say("good", "bad", "good")
    room.wait(lambda: room.writer.written == 3)
    assert room.written() == ["good", "a record could not be written: ValueError", "good"]


@pytest.mark.parametrize("death", [SystemExit(1), MemoryError()])
def test_the_end_of_the_thread_is_told(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, death: BaseException
) -> None:
    def append(day: int, data: bytes) -> None:
        raise death

    monkeypatch.setattr(room.file, "append", append)
    room.writer.start()
    room.say("one")
    room.wait(lambda: not room.writer._thread.is_alive())
    words = f"the thread that writes the log ended with {type(death).__name__}"
    assert (room.told, room.writer.shown()["problem"]) == ([words], words)
    assert words in caplog.text
    room.say(*map(str, range(20_000)))
    assert room.writer.dropped >= 10_000


def test_lines_are_repeated_on_the_terminal_even_when_the_disk_is_full(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def append(day: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room.file, "append", append)
    room.writer.echo = shown.append
    room.writer.start()
    for number in (1, 2):
        room.say("is on the terminal already")
        room.writer.put(Asked(AT, logged.exchange(), "m", "/", (), 0, None))
        room.wait(lambda number=number: room.writer.lost == 2 * number)  # type: ignore[misc]  # binds the number
    assert [text.endswith("}") and "[proxy-request]" in text for text in shown] == [True, True]


def test_heavy_records_are_written_a_few_at_a_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    append = room.file.append

    def noted(day: int, data: bytes) -> None:
        sizes.append(data.count(b"[proxy-request]"))
        append(day, data)

    monkeypatch.setattr(room.file, "append", noted)
    sample = BodySample(4096)
    sample(b"word " * 1600)
    for _ in range(10):
        room.writer.put(Asked(AT, logged.exchange(), "m", "/", (), 8000, sample), sample.held)
    room.writer.start()
    room.wait(lambda: room.writer.written == 10)
    assert max(sizes) <= 3


def test_each_exchange_that_ended_is_told_in_brief(room: Room) -> None:
    told: list[tuple[float, int, str, str]] = []
    writer = room.make(LineFormat().render)
    writer.brief = lambda *brief: told.append(brief)
    writer.start()
    room.say("no exchange")
    writer.put(Ended(AT, exchange_like(), 1.0, None))
    room.wait(lambda: writer.written == 2)
    ((at, level, source, words),) = told
    assert (at, level, source) == (AT, logging.INFO, "proxy-access")
    assert words in (room.places.logs / NAME).read_text()
