import os
from pathlib import Path

import pytest

from codemie_core.daemon.journal import Journal
from codemie_core.errors import SettingsError
from codemie_core.places import Places


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Places(tmp_path / "home"), largest=1000)


def write(journal: Journal, text: str) -> None:
    descriptor = journal.open()
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_nothing_is_there_at_first(journal: Journal) -> None:
    assert (journal.size(), journal.since(0), journal.last(5)) == (0, "", [])
    journal.bound()


def test_only_its_owner_can_read_it(journal: Journal) -> None:
    write(journal, "x" * 2000)
    journal.bound()
    assert [path.stat().st_mode & 0o777 for path in (journal.file, journal.older)] == [0o600, 0o600]


def test_two_files_hold_twice_what_one_may_and_no_more(journal: Journal) -> None:
    for turn in range(200):
        write(journal, f"{turn:05}" * 20)
        journal.bound()
        assert journal.size() <= 1100
    assert journal.older.stat().st_size <= 1000
    assert sum(path.stat().st_size for path in journal.file.parent.iterdir()) <= 2100


def test_who_has_it_open_goes_on_at_its_beginning(journal: Journal) -> None:
    descriptor = journal.open()
    os.write(descriptor, b"old\n" * 500)
    journal.bound()
    os.write(descriptor, b"new\n")
    os.close(descriptor)
    assert journal.file.read_text() == "new\n"
    assert journal.last(2) == ["old", "new"]


def test_last_lines_and_those_since_a_moment(journal: Journal) -> None:
    write(journal, "one\ntwo\n")
    before = journal.size()
    write(journal, "three\n")
    assert journal.last(2) == ["two", "three"]
    assert journal.last(0) == []
    assert journal.since(before) == "three\n"


def test_what_comes_is_followed_through_the_moment_it_is_emptied(journal: Journal) -> None:
    write(journal, "before\n" * 10)
    coming = journal.follow(journal.size())
    assert next(coming) == ""
    write(journal, "one\n" * 300)
    assert next(coming) == "one\n" * 300
    journal.bound()
    assert next(coming) == ""
    write(journal, "two\n")
    assert next(coming) == "two\n"


def test_lines_are_followed_whole_though_they_are_printed_in_pieces(journal: Journal) -> None:
    coming = journal.follow(0)
    write(journal, "one\ntw")
    assert next(coming) == "one\n"
    write(journal, "o \u00fc\nthr")
    assert next(coming) == "two \u00fc\n"
    # What does not go on is all there is to show.
    assert next(coming) == "thr"
    assert next(coming) == ""


def test_what_is_printed_while_it_is_read_comes_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write(journal, "one\n")
    coming, size = journal.follow(0), journal.size

    def size_and_more() -> int:
        found = size()
        write(journal, "two\n")
        return found

    monkeypatch.setattr(journal, "size", size_and_more)
    assert next(coming) == "one\n"
    monkeypatch.setattr(journal, "size", size)
    assert next(coming) == "two\n"
    assert next(coming) == ""


def test_all_lines_that_are_asked_for_are_shown_from_both_files(journal: Journal) -> None:
    large = Journal(Places(journal.file.parents[1]), largest=200_000)
    write(large, "".join(f"old {n}\n" for n in range(30_000)))
    large.bound()
    write(large, "".join(f"new {n}\n" for n in range(15_000)))
    until = large.size()
    write(large, "later\n")
    lines = large.last(20_000, until)
    assert (len(lines), lines[0], lines[-1]) == (20_000, "old 25000", "new 14999")
    # Its beginning was cut off in the middle of a line.
    assert all(line.startswith(("old ", "new ")) for line in large.last(100_000, until))


def test_on_a_full_disk_it_is_emptied_all_the_same(journal: Journal) -> None:
    write(journal, "x" * 2000)
    journal.older.mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        journal.bound()
    assert journal.size() == 0


def test_a_link_in_its_place_is_not_followed_and_named(journal: Journal, tmp_path: Path) -> None:
    journal.file.parent.mkdir(parents=True, mode=0o700)
    journal.file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=r"daemon\.log cannot be written .*symbolic.*move it away"):
        journal.open()
    assert not (tmp_path / "elsewhere").exists()
