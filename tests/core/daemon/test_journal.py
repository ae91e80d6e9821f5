import os
from pathlib import Path

import pytest

from codemie_core.daemon.journal import Journal
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


def test_a_link_in_its_place_is_not_followed(journal: Journal, tmp_path: Path) -> None:
    journal.file.parent.mkdir(parents=True, mode=0o700)
    journal.file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        journal.open()
