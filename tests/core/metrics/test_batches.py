"""What is written down before it is sent, on both databases."""

import random
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.metrics import batches
from codemie_core.metrics.batches import JOURNALLED, MARKED, POSTED, REFUSED, Batch, key_of
from codemie_core.places import Places
from codemie_core.store.database import Database, open_database
from codemie_core.store.place import DATABASE_VARIABLE
from support.postgres import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, codemie_home: Path) -> Iterator[Database]:
    environ = {}
    with ExitStack() as stack:
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            environ[DATABASE_VARIABLE] = stack.enter_context(server.lent_database())
        opened = open_database(Places(codemie_home), environ)
        yield opened
        opened.close()


def batch_of(*record_ids: str, session: str = "s", body: bytes = b"{}") -> Batch:
    return Batch(key_of(session, "main", record_ids), session, f"{session}_metrics.jsonl", "main", body)


def write(database: Database, batch: Batch, *record_ids: str, now_ms: int = 1) -> bool:
    with database.writing() as connection:
        return batches.journal(connection, batch, record_ids, now_ms)


def open_ones(database: Database) -> list[Batch]:
    with database.reading() as connection:
        return batches.unfinished(connection)


def test_what_is_written_down_comes_back_byte_for_byte(database: Database) -> None:
    body = bytes(range(256)) * 400
    assert write(database, batch_of("a", "b", body=body), "a", "b", now_ms=7)
    [found] = open_ones(database)
    assert (found.body, found.state, found.attempts, found.created_ms, found.posted_ms) == (
        body,
        JOURNALLED,
        0,
        7,
        None,
    )
    with database.reading() as connection:
        assert set(batches.records_of(connection, found.id)) == {"a", "b"}


def test_a_record_is_in_one_batch_for_ever(database: Database) -> None:
    assert write(database, batch_of("a", "b"), "a", "b")
    assert not write(database, batch_of("b", "c"), "b", "c")
    assert not write(database, batch_of("a", "b"), "a", "b")
    assert len(open_ones(database)) == 1
    with database.reading() as connection:
        assert batches.states(connection, "s", ["a", "b", "c"]) == {"a": JOURNALLED, "b": JOURNALLED}
        assert batches.states(connection, "another session", ["a"]) == {}


def test_nothing_makes_no_batch(database: Database) -> None:
    assert not write(database, batch_of())
    assert open_ones(database) == []


def test_a_batch_goes_from_state_to_state(database: Database) -> None:
    batch = batch_of("a")
    write(database, batch, "a")
    with database.writing() as connection:
        batches.failed(connection, batch.id, refused=False, attempts=4, why="it answered 503")
    [found] = open_ones(database)
    assert (found.state, found.attempts, found.last_error) == (JOURNALLED, 4, "it answered 503")
    with database.writing() as connection:
        batches.failed(connection, batch.id, refused=True, attempts=1, why="it answered 400")
    assert open_ones(database)[0].state == REFUSED
    with database.writing() as connection:
        batches.posted(connection, batch.id, attempts=1, now_ms=9)
    [found] = open_ones(database)
    assert (found.state, found.attempts, found.last_error, found.posted_ms) == (POSTED, 6, "", 9)
    with database.writing() as connection:
        batches.marked(connection, batch.id, 10)
        assert batches.states(connection, "s", ["a"]) == {"a": MARKED}
        assert batches.tallies(connection) == {MARKED: 1}
    assert open_ones(database) == []


def test_the_oldest_come_first_and_the_newest_of_a_session_are_found(database: Database) -> None:
    for number, name in enumerate("cab"):
        write(database, batch_of(name), name, now_ms=number)
    assert [found.id for found in open_ones(database)] == [batch_of(name).id for name in "cab"]
    with database.reading() as connection:
        assert [found.id for found in batches.newest(connection, "s", 2)] == [batch_of(name).id for name in "ba"]


def test_only_what_is_finished_and_old_is_forgotten(database: Database) -> None:
    for now_ms, name in enumerate(("old", "open", "new")):
        write(database, batch_of(name), name, now_ms=now_ms)
    with database.writing() as connection:
        for name in ("old", "new"):
            batches.marked(connection, batch_of(name).id, 5)
        assert batches.forget(connection, before_ms=2) == 1
        assert batches.states(connection, "s", ["old", "open", "new"]) == {"open": JOURNALLED, "new": MARKED}


def test_many_records_are_asked_for_in_parts(database: Database) -> None:
    ids = [str(number) for number in range(1_234)]
    assert write(database, batch_of(*ids), *ids)
    with database.reading() as connection:
        assert len(batches.states(connection, "s", ids)) == len(ids)


@pytest.mark.parametrize("name", ["nul\0", "half \ud800", "x" * 5_000, "ünï", "'; drop table"])
def test_ids_that_foreign_hands_wrote_are_told_apart(database: Database, name: str) -> None:
    other = f"{name}!"
    assert write(database, batch_of(name, session=name), name)
    assert write(database, batch_of(other, session=name), other)
    with database.reading() as connection:
        assert batches.states(connection, name, [name, other]) == {name: JOURNALLED, other: JOURNALLED}


ids = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True)


@given(ids, st.randoms())
def test_the_key_is_that_of_the_records_in_any_order(names: list[str], dice: random.Random) -> None:
    shuffled = list(names)
    dice.shuffle(shuffled)
    assert key_of("s", "b", names) == key_of("s", "b", shuffled)
    assert uuid.UUID(key_of("s", "b", names)).version == 5


def test_keys_differ_by_session_branch_and_records() -> None:
    keys = {key_of("s", "b", ["1"]), key_of("t", "b", ["1"]), key_of("s", "c", ["1"]), key_of("s", "b", ["1", "2"])}
    assert len(keys | {key_of("s", "b", ["12"])}) == 5
