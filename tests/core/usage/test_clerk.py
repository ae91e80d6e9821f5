"""The thread that counts: in order, without making anybody wait, and none is lost on the way out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from codemie_core.usage import clerk as clerk_module
from codemie_core.usage.clerk import Clerk
from codemie_core.usage.record import Record
from codemie_core.usage.turn import Turn
from support.turns import record_like, turn_like

PATIENCE = 60
"""Seconds."""


@pytest.fixture
def made() -> Iterator[Callable[[Clerk], Clerk]]:
    """Starts clerks and ends them."""
    clerks: list[Clerk] = []

    def begin(clerk: Clerk) -> Clerk:
        clerks.append(clerk)
        clerk.start()
        return clerk

    yield begin
    assert all(clerk.stop(PATIENCE) for clerk in clerks)


def test_turns_are_recorded_in_the_order_in_which_they_ended(made: Callable[[Clerk], Clerk]) -> None:
    told: list[str] = []
    clerk = made(
        Clerk(lambda turn: record_like(id=turn.id), lambda records: told.extend(record.id for record in records))
    )
    for number in range(200):
        clerk.put(turn_like(number=number + 1))
    assert clerk.drain(PATIENCE)
    assert [int(each.rpartition(".")[2]) for each in told] == list(range(1, 201))
    assert (clerk.done, clerk.waiting) == (200, 0)


def test_nobody_waits_for_the_counting_and_draining_does(made: Callable[[Clerk], Clerk]) -> None:
    go, begun = threading.Event(), threading.Event()

    def keep(turn: Turn) -> Record:
        begun.set()
        assert go.wait(PATIENCE)
        return record_like(id=turn.id)

    clerk = made(Clerk(keep, lambda _: None))
    clerk.put(turn_like())
    assert begun.wait(PATIENCE)
    assert clerk.waiting == 1
    assert not clerk.drain(0.05)
    go.set()
    assert clerk.drain(PATIENCE)


def test_a_turn_that_cannot_be_counted_costs_only_itself(
    made: Callable[[Clerk], Clerk], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def keep(turn: Turn) -> Record:
        if turn.number in (1, 2):
            raise ZeroDivisionError("secret words")
        return record_like(id=turn.id)

    clerk = made(Clerk(keep, lambda records: told.extend(record.id for record in records)))
    for number in (1, 2, 3):
        clerk.put(turn_like(number=number))
    assert clerk.drain(PATIENCE)
    assert (clerk.done, clerk.failed, len(told)) == (1, 2, 1)
    assert len(caplog.records) == 1
    assert "ZeroDivisionError" in caplog.text
    assert "secret words" not in caplog.text


def test_what_is_put_before_the_end_is_recorded_at_the_end() -> None:
    told: list[str] = []
    clerk = Clerk(lambda turn: record_like(id=turn.id), lambda records: told.extend(record.id for record in records))
    for number in range(50):
        clerk.put(turn_like(number=number + 1))
    clerk.start()
    assert clerk.stop(PATIENCE)
    assert len(told) == 50


def test_beyond_the_bound_turns_are_counted_without_their_request(
    made: Callable[[Clerk], Clerk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerk_module, "MOST_HELD", 10)
    go, seen = threading.Event(), list[int]()

    def keep(turn: Turn) -> Record:
        assert go.wait(PATIENCE)
        seen.append(len(turn.request))
        return record_like(id=turn.id)

    clerk = made(Clerk(keep, lambda _: None))
    for _ in range(3):
        clerk.put(turn_like(request=b"12345678"))
    go.set()
    assert clerk.drain(PATIENCE)
    clerk.put(turn_like(request=b"12345678"))
    assert clerk.drain(PATIENCE)
    assert seen == [8, 0, 0, 8]
    assert (clerk.unread, clerk.done) == (2, 4)


def test_what_it_begins_with_comes_first_and_may_fail(made: Callable[[Clerk], Clerk]) -> None:
    told: list[str] = []

    def begin() -> None:
        told.append("begun")
        raise OSError("no prices today")

    clerk = made(
        Clerk(lambda turn: record_like(id=turn.id), lambda records: told.extend("told" for _ in records), begin)
    )
    clerk.put(turn_like())
    assert clerk.drain(PATIENCE)
    assert told == ["begun", "told"]


def test_who_does_not_listen_costs_no_turn(made: Callable[[Clerk], Clerk], caplog: pytest.LogCaptureFixture) -> None:
    def deliver(records: list[Record]) -> None:
        raise RuntimeError("the loop has ended")

    clerk = made(Clerk(lambda turn: record_like(id=turn.id), deliver))
    clerk.put(turn_like())
    assert clerk.drain(PATIENCE)
    clerk.put(turn_like())
    assert clerk.drain(PATIENCE)
    assert (clerk.done, clerk.failed) == (2, 0)
    assert "Nobody was told of 1 turns: RuntimeError" in caplog.text


def test_who_has_much_to_do_wakes_less_often_and_hurries_when_asked(
    made: Callable[[Clerk], Clerk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerk_module, "BUSY_PAUSE", 3600.0)
    clerk = made(Clerk(lambda turn: record_like(id=turn.id), lambda _: None))
    for _ in range(2):
        for number in range(clerk_module.BUSY):
            clerk.put(turn_like(number=number + 1))
        assert clerk.drain(PATIENCE)
    assert clerk.done == 2 * clerk_module.BUSY
