"""The log read back: whole records, the newest first, and what is written while somebody looks."""

import itertools
from pathlib import Path

import pytest

from codemie_core.logs import log_reading
from codemie_core.logs.log_reading import Follower, Kept, newest_first


def record(number: int, level: str = "INFO", *below: str) -> str:
    return "\n".join([f"[2026-01-31T09:30:00.{number:03}Z] [{level}] [claude] record {number}", *below]) + "\n"


def texts(records: list[Kept]) -> list[str]:
    return [kept.text for kept in records]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def write(folder: Path, text: str, day: str = "2026-01-31") -> Path:
    path = folder / f"debug-{day}.log"
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.mark.parametrize("block", [1, 7, 64, 256 * 1024])
def test_records_come_whole_and_the_newest_first_whatever_is_read_at_once(
    block: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "BLOCK", block)
    written = [record(number, "DEBUG", '  "a": 1,', "}") for number in range(5)]
    write(folder, "".join(written[:3]), "2026-01-30")
    write(folder, "".join(written[3:]))
    (folder / "other.log").write_text(record(9))
    found = list(newest_first(folder))
    assert texts(found) == [text.rstrip("\n") for text in reversed(written)]
    assert {kept.level for kept in found} == {"DEBUG"}


def test_only_as_much_is_read_as_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "BLOCK", 100)
    path = write(folder, "".join(map(record, range(500))))
    opened = []
    plain = log_reading._HEAD

    class Watching:
        def finditer(self, data: bytes) -> object:
            opened.append(len(data))
            return plain.finditer(data)

    monkeypatch.setattr(log_reading, "_HEAD", Watching())
    assert len(list(itertools.islice(newest_first(folder), 3))) == 3
    assert sum(opened) < path.stat().st_size / 10


@pytest.mark.parametrize(
    "head, level",
    [
        ("[2026-01-31T09:30:00.125Z] [WARN] x", "WARN"),
        ("[2026-01-31T09:30:00Z] [WARNING] x", "WARN"),
        ("[2026-01-31T09:30:00.125Z] [STRANGE] x", "INFO"),
        ("no head at all", "INFO"),
    ],
)
def test_levels_of_others_are_understood(head: str, level: str, folder: Path) -> None:
    write(folder, head + "\n")
    assert list(newest_first(folder)) == [Kept(level, head)]


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert list(newest_first(tmp_path / "none")) == []
    follower = Follower(tmp_path / "none")
    assert (follower.news(), follower.place) == ([], None)


def test_what_comes_is_told_once_and_in_order(folder: Path) -> None:
    write(folder, record(0))
    follower = Follower(folder)
    assert follower.news() == []
    write(folder, record(1) + record(2))
    write(folder, record(3))
    found = follower.news() + follower.news()
    assert texts(found) == [record(number).rstrip("\n") for number in (1, 2, 3)]
    assert follower.news() == []
    assert texts(list(newest_first(folder, follower.place))) == [record(number).rstrip("\n") for number in (3, 2, 1, 0)]


def test_a_record_that_is_being_written_is_told_when_it_is_whole(folder: Path) -> None:
    path = write(folder, "")
    follower = Follower(folder)
    whole = record(1, "DEBUG", '  "a": 1', "}")
    found = []
    for place in range(0, len(whole), 9):
        write(folder, whole[place : place + 9])
        found += follower.news()
    assert path.read_text() == whole
    assert found == []
    assert texts(follower.news()) == [whole.rstrip("\n")]


def test_the_next_day_goes_on_in_its_own_file(folder: Path) -> None:
    write(folder, record(0), "2026-01-30")
    follower = Follower(folder)
    write(folder, record(1), "2026-01-30")
    write(folder, record(2), "2026-01-31")
    found = follower.news() + follower.news()
    assert texts(found) == [record(number).rstrip("\n") for number in (1, 2)]
    assert texts(list(newest_first(folder, Follower(folder).place)))[-1] == record(0).rstrip("\n")


def test_a_file_that_was_replaced_or_emptied_is_read_anew(folder: Path) -> None:
    path = write(folder, record(0) * 3)
    follower = Follower(folder)
    path.unlink()
    write(folder, record(1))
    assert texts(follower.news() + follower.news()) == [record(1).rstrip("\n")]
    path.write_text("")
    follower.news()
    write(folder, record(2))
    assert texts(follower.news() + follower.news()) == [record(2).rstrip("\n")]
    follower.close()


def test_a_record_without_end_is_told_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "LONGEST_RECORD", 1000)
    monkeypatch.setattr(log_reading, "BLOCK", 100)
    follower = Follower(folder)
    write(folder, "")
    assert follower.news() == []
    write(folder, record(0) + "x" * 5000)
    assert sum(len(kept.text) for kept in follower.news()) > 4000
    assert max(len(kept.text) for kept in newest_first(folder)) <= 1200
