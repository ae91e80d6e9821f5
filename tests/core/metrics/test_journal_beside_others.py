"""The metrics file beside programs that append without our lock, and beside death: nothing lost, nothing altered."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.metrics.delta import Delta
from codemie_core.metrics.journal import Journal
from support.hooks import Hooks, hook_line

ROUNDS = 20


def delta(record_id: str) -> Delta:
    return Delta(record_id=record_id, session_id="s", timestamp=1_755_780_000_000, tools={"Edit": 1}, models=("m",))


def unmarked(raw: bytes) -> bytes:
    """The line as it was before it was marked."""
    return raw.replace(b'"syncStatus":"synced" ', b'"syncStatus":"pending"')


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    with Hooks() as running:
        yield running


OUR_APPEND = st.just(("ours", 0))
THEIR_APPEND = st.just(("theirs", 0))
# Cut off after so many bytes: somebody died over it.
THEIR_DEATH = st.tuples(st.just("torn"), st.integers(1, 200))
MARKS = st.tuples(st.just("mark"), st.integers(0, 2**16))


@settings(max_examples=40)
@given(steps=st.lists(st.one_of(OUR_APPEND, THEIR_APPEND, THEIR_DEATH, MARKS), max_size=25))
def test_whatever_the_order_no_record_is_lost_and_only_marks_change(hooks: Hooks, steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "s_metrics.jsonl")
        there: dict[str, bytes] = {}
        marked: set[str] = set()
        torn = False
        for number, (step, value) in enumerate(steps):
            name = f"{step}-{number}"
            if step == "ours":
                journal.append(delta(name))
                there[name] = delta(name).line()[:-1]
                torn = False
            elif step == "theirs":
                hooks.append(journal.path, hook_line(name))
                # Behind a torn line their own is lost, to them as to us: they do not look.
                if not torn:
                    there[name] = hook_line(name)[:-1]
                torn = False
            elif step == "torn":
                hooks.append(journal.path, hook_line(name)[:value])
                torn = True
            else:
                chosen = {each for index, each in enumerate(there) if value >> (index % 16) & 1}
                assert journal.mark_synced(chosen) == chosen
                marked |= chosen
            reading = journal.read()
            assert {entry.delta.record_id: unmarked(entry.raw) for entry in reading.entries} == there
            assert {entry.delta.record_id for entry in reading.pending} == there.keys() - marked


def test_two_processes_append_while_a_third_party_marks_and_all_records_are_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s_metrics.jsonl")
    theirs = [f"theirs-{number}" for number in range(300)]
    ours = [f"ours-{number}" for number in range(300)]
    all_written = threading.Event()

    def mark() -> None:
        while not all_written.is_set():
            journal.mark_synced([entry.delta.record_id for entry in journal.read().pending])

    def append(hooks: Hooks) -> None:
        for name in theirs:
            hooks.append(journal.path, hook_line(name))

    with Hooks() as hooks:
        foreign, marker = threading.Thread(target=append, args=(hooks,)), threading.Thread(target=mark)
        foreign.start()
        marker.start()
        for name in ours:
            journal.append(delta(name))
        foreign.join(60)
        all_written.set()
        marker.join(60)
    journal.mark_synced([*ours, *theirs])
    reading = journal.read()
    assert (reading.damaged, reading.unfinished, reading.pending) == (0, False, ())
    found = {entry.delta.record_id: unmarked(entry.raw) for entry in reading.entries}
    assert len(reading.entries) == len(found) == len(ours) + len(theirs)
    assert found == {name: delta(name).line()[:-1] for name in ours} | {name: hook_line(name)[:-1] for name in theirs}


# Appends as we do, marks, and beside it writes lines in two pieces; may be told to die between them, at a given line.
VICTIM = """
import os, signal, sys
from pathlib import Path
from codemie_core.metrics.delta import Delta
from codemie_core.metrics.journal import Journal
journal, life, last = Journal(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(100_000):
    name = f"{life}-{number}"
    journal.append(Delta(record_id=name, session_id="s", models=("m",) * (number % 50)))
    print(name, flush=True)
    if number % 5 == 4:
        journal.mark_synced([f"{life}-{number - 2}"])
        print("marked", flush=True)
    line = Delta(record_id=f"foreign-{name}").line()
    with journal.path.open("ab", buffering=0) as file:
        file.write(line[: len(line) // 2])
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(line[len(line) // 2 :])
"""


def one_life(path: Path, life: int, lines: int, last: int) -> list[str]:
    """What a process said it had written before it was killed: after so many words of it, or by itself."""
    environ = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path), str(life), str(last)], stdout=subprocess.PIPE, text=True, env=environ
    )
    assert victim.stdout is not None
    said = [victim.stdout.readline() for _ in range(lines)]
    if last < 0:
        victim.send_signal(signal.SIGKILL)
    said += victim.stdout.readlines()
    victim.wait(30)
    victim.stdout.close()
    return [line.strip() for line in said if line.startswith(f"{life}-") and line.endswith("\n")]


def test_nothing_acknowledged_is_lost_however_often_the_writer_is_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s_metrics.jsonl")
    dice = random.Random(20_261)
    acknowledged: set[str] = set()
    for life in range(ROUNDS):
        deaths = (dice.randrange(1, 60), -1) if life % 2 else (0, dice.randrange(30))
        acknowledged.update(one_life(journal.path, life, *deaths))
        reading = journal.read()
        assert acknowledged <= {entry.delta.record_id for entry in reading.entries}
        journal.append(delta(f"after-{life}"))
        acknowledged.add(f"after-{life}")
        assert not journal.read().unfinished, "whoever comes next ends a torn line"
    assert journal.read().damaged, "none died in the middle of a line: this proves nothing"
    everything = {entry.delta.record_id for entry in journal.read().entries}
    assert journal.mark_synced(everything) == everything
    assert journal.read().pending == ()
    for line in journal.path.read_bytes().splitlines():
        if line.startswith(b"{") and line.endswith(b"}"):
            assert json.loads(line)["syncStatus"] == "synced"
