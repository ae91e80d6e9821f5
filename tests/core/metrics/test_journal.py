"""The metrics file: what stands in it stays, whoever writes beside us."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codemie_core.metrics.delta import Delta, parse_delta
from codemie_core.metrics.journal import Journal
from support.hooks import hook_line


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "s_metrics.jsonl")


def delta(record_id: str) -> Delta:
    return Delta(record_id=record_id, session_id="s", timestamp=1_755_780_000_000, tools={"Edit": 1})


def ids(journal: Journal) -> list[str]:
    return [entry.delta.record_id for entry in journal.read().entries]


def pending(journal: Journal) -> list[str]:
    return [entry.delta.record_id for entry in journal.read().pending]


def test_records_are_read_in_the_order_in_which_they_were_appended(journal: Journal) -> None:
    for name in "abc":
        journal.append(delta(name))
    assert ids(journal) == pending(journal) == ["a", "b", "c"]
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert [json.loads(line)["recordId"] for line in journal.path.read_text().splitlines()] == ["a", "b", "c"]


def test_a_file_that_is_not_there_has_no_records_and_no_marks(journal: Journal) -> None:
    assert journal.read().entries == ()
    assert journal.mark_synced(["a"]) == frozenset()
    assert not journal.path.exists()


def test_an_entry_knows_where_its_line_begins(journal: Journal) -> None:
    journal.path.write_bytes(b"\n" + hook_line("a") + b"not json\n\n" + hook_line("b"))
    content = journal.path.read_bytes()
    reading = journal.read()
    assert reading.damaged == 1
    for entry in reading.entries:
        assert content[entry.offset : entry.offset + len(entry.raw)] == entry.raw
        assert parse_delta(entry.raw) == entry.delta


def test_a_line_that_somebody_died_over_does_not_swallow_the_next(journal: Journal) -> None:
    journal.path.write_bytes(hook_line("a") + hook_line("torn")[:50])
    assert (ids(journal), journal.read().unfinished, journal.read().damaged) == (["a"], True, 0)
    journal.append(delta("b"))
    assert (ids(journal), journal.read().unfinished, journal.read().damaged) == (["a", "b"], False, 1)


def test_a_whole_record_without_its_line_end_counts_and_can_be_marked(journal: Journal) -> None:
    journal.path.write_bytes(hook_line("a")[:-1])
    assert pending(journal) == ["a"]
    assert journal.mark_synced(["a"]) == {"a"}
    journal.append(delta("b"))
    assert (ids(journal), pending(journal)) == (["a", "b"], ["b"])


def test_a_mark_changes_one_word_in_place_and_nothing_else(journal: Journal) -> None:
    before = hook_line("a") + hook_line("b") + b"damaged\n" + hook_line("c", syncStatus="failed", syncAttempts=1)
    journal.path.write_bytes(before)
    inode = journal.path.stat().st_ino
    assert journal.mark_synced(["a", "c", "elsewhere"]) == {"a", "c"}
    after = journal.path.read_bytes()
    assert len(after) == len(before)
    assert journal.path.stat().st_ino == inode, "others may have it open"
    assert after == (
        hook_line("a").replace(b'"syncStatus":"pending","syncA', b'"syncStatus":"synced" ,"syncA')
        + hook_line("b")
        + b"damaged\n"
        + hook_line("c", syncStatus="failed", syncAttempts=1).replace(b'"failed"', b'"synced"')
    )
    assert pending(journal) == ["b"]


def test_a_mark_stays_and_is_found_again(journal: Journal) -> None:
    journal.append(delta("a"))
    assert journal.mark_synced(["a"]) == {"a"}
    marked = journal.path.read_bytes()
    assert journal.mark_synced(["a"]) == {"a"}
    assert journal.path.read_bytes() == marked


@pytest.mark.parametrize(
    "line",
    [
        b'{"nested":{"syncStatus":"pending"},"recordId":"a","syncStatus":"pending"}',
        b'{"recordId":"a","syncStatus" : "pending","nested":{"syncStatus":"pending"}}',
        b'{"recordId":"a","text":"\\"syncStatus\\":\\"pending\\"","syncStatus":\t"pending"}',
        b'{"k\\"syncStatus":"pending","recordId":"a","syncStatus":"pending"}',
        b'{"recordId":"a","syncStatus":"syncing"}',
    ],
)
def test_only_the_records_own_mark_is_changed(journal: Journal, line: bytes) -> None:
    journal.path.write_bytes(line + b"\n")
    assert journal.mark_synced(["a"]) == {"a"}
    after = journal.path.read_bytes()
    assert len(after) == len(line) + 1
    assert json.loads(after) == {**json.loads(line), "syncStatus": "synced"}


def test_a_record_that_spells_its_mark_in_another_way_is_left_as_it_is_and_said_so(journal: Journal) -> None:
    line = b'{"recordId":"a","sync\\u0053tatus":"pending"}\n'
    journal.path.write_bytes(line)
    assert pending(journal) == ["a"]
    assert journal.mark_synced(["a"]) == frozenset()
    assert journal.path.read_bytes() == line


def test_a_record_that_stands_there_twice_is_sent_once_and_marked_twice(journal: Journal) -> None:
    for name in ("a", "b", "a"):
        journal.append(delta(name))
    assert pending(journal) == ["a", "b"]
    assert journal.mark_synced(["a"]) == {"a"}
    assert journal.path.read_bytes().count(b'"synced" ') == 2
    journal.append(delta("a"))
    assert pending(journal) == ["b"], "a copy says that it has been sent"


def before_each(monkeypatch: pytest.MonkeyPatch, call: str, step: Callable[[], None], times: int = 1) -> None:
    """Let something happen in the moment before the module's first calls of a function of os."""
    real, left = getattr(os, call), [times]

    def meddled(*arguments: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            step()
        return real(*arguments, **named)

    monkeypatch.setattr(os, call, meddled)


def rewritten_by_rename(path: Path) -> None:
    """As CodeMie's CLI marks its own: the file is read, written anew and renamed into place."""
    draft = path.with_suffix(".new")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    draft.write_text("".join(json.dumps({"moved": "further back", **line}) + "\n" for line in lines))
    os.replace(draft, path)


def test_marks_reach_the_file_that_was_put_in_the_others_place(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        journal.append(delta(name))
    before_each(monkeypatch, "pwrite", lambda: rewritten_by_rename(journal.path))
    assert journal.mark_synced(["a", "b"]) == {"a", "b"}
    assert (ids(journal), pending(journal)) == (["a", "b"], [])


def test_a_record_appended_to_a_file_that_is_being_replaced_lands_in_the_new_one(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(delta("a"))
    before_each(monkeypatch, "write", lambda: rewritten_by_rename(journal.path))
    journal.append(delta("b"))
    assert ids(journal) == ["a", "b"]


def test_a_file_that_was_put_aside_under_another_name_keeps_its_marks(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(delta("a"))
    aside = journal.path.with_name("completed_s_metrics.jsonl")
    before_each(monkeypatch, "pwrite", lambda: os.rename(journal.path, aside))
    assert journal.mark_synced(["a"]) == {"a"}
    assert pending(Journal(aside)) == []


def test_a_record_appended_to_a_file_that_is_just_put_aside_is_there_and_nowhere_else(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(delta("a"))
    aside = journal.path.with_name("completed_s_metrics.jsonl")
    before_each(monkeypatch, "write", lambda: os.rename(journal.path, aside))
    journal.append(delta("b"))
    assert (ids(Journal(aside)), journal.path.exists()) == (["a", "b"], False)


def test_bytes_that_changed_since_they_were_read_are_not_overwritten(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(delta("a"))
    other = Delta(record_id="a", session_id="x", timestamp=1_755_780_000_000, tools={"Edit": 1}).line()

    def overwritten() -> None:
        with journal.path.open("r+b") as file:
            file.write(other)

    # The second look at the file is the one right before the mark.
    real, looks = os.pread, [0]

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        looks[0] += 1
        if looks[0] == 2:
            overwritten()
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    assert journal.mark_synced(["a"]) == frozenset()
    assert journal.path.read_bytes() == other


def test_a_line_torn_by_somebody_in_the_last_moment_does_not_swallow_ours(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(delta("a"))

    def torn() -> None:
        with journal.path.open("ab") as file:
            file.write(hook_line("torn")[:40])

    before_each(monkeypatch, "write", torn)
    journal.append(delta("b"))
    assert ids(journal) == ["a", "b"]


def test_a_file_that_is_torn_at_every_try_is_an_error(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn() -> None:
        with journal.path.open("ab") as file:
            file.write(b"\n{")

    before_each(monkeypatch, "write", torn, times=99)
    with pytest.raises(OSError, match="keeps breaking"):
        journal.append(delta("a"))


FULL_DISK = """
import resource, sys
from pathlib import Path
from codemie_core.metrics.delta import parse_delta
from codemie_core.metrics.journal import Journal
journal = Journal(Path(sys.argv[1]))
room = journal.path.stat().st_size + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    journal.append(parse_delta(sys.argv[3].encode()))
except OSError:
    print("no room")
"""
LENGTH = len(delta("b").line())


@pytest.mark.parametrize(
    "there,room",
    [
        (delta("a").line(), 0),
        (delta("a").line(), 1),
        (delta("a").line(), 40),
        # What is written ends as far from the file's beginning as if the whole line had been.
        (b"\n" * 10, LENGTH - 10),
        # The record is whole, and only its line has no end.
        (delta("a").line(), LENGTH - 1),
    ],
)
def test_a_full_disk_is_an_error_and_the_same_record_can_be_appended_again(
    journal: Journal, there: bytes, room: int
) -> None:
    journal.path.write_bytes(there)
    before = ids(journal)
    line = delta("b").line().decode()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(journal.path), str(room), line],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "no room\n", done.stderr
    journal.append(delta("b"))
    assert pending(journal) == [*before, "b"]
