"""The day's file: whose it is, when it changes, and that no record is ever torn for good."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from codemie_core.errors import SettingsError
from codemie_core.logs import log_file
from codemie_core.logs.log_file import DAY, LogFile, name_of
from codemie_core.places import Places
from support.proxy import ADDONS

TODAY = 20_484  # 2026-01-31
NOW = TODAY * DAY + 3600.0
NAME = "debug-2026-01-31.log"


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def file(places: Places) -> Iterator[LogFile]:
    made = LogFile(places, 5, lambda: NOW)
    yield made
    made.close()


def test_a_new_file_is_private(file: LogFile, places: Places) -> None:
    file.append(TODAY, b"one\n")
    path = places.logs / NAME
    assert path.read_bytes() == b"one\n"
    assert (path.stat().st_mode & 0o777, places.logs.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_that_codemie_made_is_appended_to_and_keeps_its_mode(file: LogFile, places: Places) -> None:
    places.logs.mkdir(parents=True)
    path = places.logs / NAME
    path.write_bytes(b"theirs\n")
    path.chmod(0o644)
    places.logs.chmod(0o755)
    file.append(TODAY, b"ours\n")
    with path.open("ab") as theirs:
        theirs.write(b"theirs again\n")
    file.append(TODAY, b"ours again\n")
    assert path.read_bytes() == b"theirs\nours\ntheirs again\nours again\n"
    assert (path.stat().st_mode & 0o777, places.logs.stat().st_mode & 0o777) == (0o644, 0o755)


def test_each_day_has_its_file(file: LogFile, places: Places) -> None:
    file.append(TODAY, b"before midnight\n")
    file.append(TODAY + 1, b"after it\n")
    assert sorted(path.name for path in places.logs.iterdir()) == [NAME, "debug-2026-02-01.log"]
    assert (places.logs / name_of(TODAY + 1)).read_bytes() == b"after it\n"


def aged(path: Path, days: float) -> Path:
    os.utime(path, (NOW - days * DAY,) * 2)
    return path


@pytest.mark.parametrize("keep_days, kept", [(5, {"debug-2026-01-27.log"}), (0, None), (3, set())])
def test_logs_of_days_long_past_are_deleted_and_nothing_else(
    places: Places, keep_days: int, kept: set[str] | None
) -> None:
    places.logs.mkdir(parents=True)
    logs = {"debug-2026-01-27.log": 4.9, "debug-2026-01-20.log": 5.1, "debug-2020-01-01.log": 2000.0}
    others = ["debug.log", "debug-notes.log", "debug-2020-01-01.log.gz", "error-2020-01-01.log", "x"]
    for name, days in logs.items():
        (places.logs / name).touch()
        aged(places.logs / name, days)
    for name in others:
        (places.logs / name).touch()
        aged(places.logs / name, 2000)
    aged_folder = places.logs / "debug-2019-01-01.log"
    aged_folder.mkdir()
    aged(aged_folder, 2000)
    file = LogFile(places, keep_days, lambda: NOW)
    file.append(TODAY, b"x\n")
    file.close()
    expected = set(logs) if kept is None else kept
    assert {path.name for path in places.logs.iterdir()} == {NAME, aged_folder.name, *others, *expected}


def test_a_folder_that_vanishes_is_made_again(file: LogFile, places: Places) -> None:
    file.append(TODAY, b"lost with its folder\n")
    shutil.rmtree(places.home)
    file.append(TODAY, b"there again\n")
    assert (places.logs / NAME).read_bytes() == b"there again\n"
    assert places.logs.stat().st_mode & 0o777 == 0o700


def test_the_line_of_somebody_who_was_killed_is_ended_first(file: LogFile, places: Places) -> None:
    places.logs.mkdir(parents=True)
    (places.logs / NAME).write_bytes(b"whole\nhal")
    file.append(TODAY, b"ours\n")
    assert (places.logs / NAME).read_bytes() == b"whole\nhal\nours\n"


def test_a_full_disk_is_an_error(file: LogFile, places: Places) -> None:
    places.logs.mkdir(parents=True)
    (places.logs / NAME).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        file.append(TODAY, b"one\n")


def test_a_file_in_the_place_of_the_folder_is_an_error(file: LogFile, places: Places) -> None:
    places.home.mkdir()
    places.logs.write_text("not a folder")
    with pytest.raises((OSError, SettingsError)):
        file.append(TODAY, b"one\n")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel takes what fits and refuses the rest, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_after_a_record_that_went_in_by_half_the_next_begins_on_its_own_line(file: LogFile, places: Places) -> None:
    file.append(TODAY, b"first\n")
    with files_of_at_most(10), pytest.raises(OSError, match="too large"):
        file.append(TODAY, b"second\n")
    file.append(TODAY, b"third\n")
    assert (places.logs / NAME).read_bytes() == b"first\nseco\nthird\n"


APPENDER = """
import sys
from pathlib import Path
from codemie_core.logs.log_file import LogFile
from codemie_core.places import Places
file = LogFile(Places(Path(sys.argv[1])), 5)
for number in range(2000):
    file.append(20_484, (f"{sys.argv[2]} {number} " + sys.argv[2] * (number % 3000) + "\\n").encode())
"""


def test_a_line_that_another_process_is_just_writing_is_not_taken_for_a_broken_one(
    file: LogFile, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.ensure_private(places.logs)
    (places.logs / NAME).write_bytes(b"half of ")

    def meanwhile(_: float) -> None:
        with (places.logs / NAME).open("ab") as theirs:
            theirs.write(b"a record\n")

    # Between two looks, and not after so many milliseconds: then it might come too late.
    moments = SimpleNamespace(monotonic=float, sleep=meanwhile, gmtime=time.gmtime, strftime=time.strftime)
    monkeypatch.setattr(log_file, "time", moments)
    file.append(TODAY, b"next\n")
    assert (places.logs / NAME).read_bytes() == b"half of a record\nnext\n"


def test_two_processes_append_to_one_file_without_mixing_their_records(places: Places) -> None:
    env = {**os.environ, "PYTHONPATH": str(ADDONS)}
    processes = [
        subprocess.Popen((sys.executable, "-c", APPENDER, str(places.home), who), env=env) for who in ("a", "b")
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    numbers: dict[str, list[int]] = {"a": [], "b": []}
    for line in (places.logs / NAME).read_text().splitlines():
        who, number, rest = line.split(" ")
        assert rest == who * (int(number) % 3000)
        numbers[who].append(int(number))
    assert numbers == {"a": list(range(2000)), "b": list(range(2000))}
