"""Where conversations live."""

import pytest

from codemie_core.accounts.conversations import SAVED_EVERY, Conversations
from codemie_core.accounts.state import Home
from support.pools import NOW

STICKINESS = 18000.0


def conversations(most: int = 100) -> Conversations:
    return Conversations(STICKINESS, most)


def home(book: Conversations, key: str, now: float) -> str | None:
    place = book.get(key, now)
    return place.account_id if place is not None else None


@pytest.mark.parametrize("age, account", [(STICKINESS - 0.001, "a"), (STICKINESS, None)])
def test_a_conversation_stays_for_the_stickiness_since_its_last_use(age: float, account: str | None) -> None:
    book = conversations()
    book.settle("c", "a", NOW)
    place = book.get("c", NOW + 9000)
    assert place is not None
    book.touch("c", place, NOW + 9000)
    assert home(book, "c", NOW + 9000 + age) == account


def test_the_least_recently_used_one_is_forgotten_first() -> None:
    book = conversations(most=2)
    book.settle("one", "a", NOW)
    book.settle("two", "a", NOW + 1)
    place = book.get("one", NOW + 2)
    assert place is not None
    book.touch("one", place, NOW + 2)
    book.settle("three", "b", NOW + 3)
    assert [home(book, key, NOW + 3) for key in ("one", "two", "three")] == ["a", None, "b"]
    assert (len(book), book.on("a"), book.on("b")) == (2, 1, 1)


def test_those_that_are_too_old_go_when_another_settles() -> None:
    book = conversations()
    book.settle("one", "a", NOW)
    book.settle("two", "a", NOW + STICKINESS)
    assert (len(book), book.on("a")) == (1, 1)


def test_a_last_use_is_saved_once_a_minute_and_a_new_home_at_once() -> None:
    book = conversations()
    book.settle("c", "a", NOW)
    assert list(book.changes()) == [Home("c", "a", NOW, NOW)]
    for later, saved in ((1.0, False), (SAVED_EVERY, True), (SAVED_EVERY + 1, False)):
        place = book.get("c", NOW + later)
        assert place is not None
        book.touch("c", place, NOW + later)
        assert list(book.changes()) == ([Home("c", "a", NOW, NOW + later)] if saved else [])
    book.settle("c", "b", NOW + 100)
    assert list(book.changes()) == [Home("c", "b", NOW + 100, NOW + 100)]


def test_what_is_not_asked_for_waits_for_the_next_time() -> None:
    book = conversations()
    for key in "abc":
        book.settle(key, "x", NOW)
    assert next(book.changes()).key == "a"
    assert [change.key for change in book.changes()] == ["b", "c"]


@pytest.mark.parametrize(
    "theirs, account, used",
    [
        (Home("c", "b", NOW + 5, NOW + 6), "b", NOW + 6),
        (Home("c", "b", NOW - 5, NOW + 6), "a", NOW + 6),
        (Home("c", "b", NOW - 5, NOW - 4), "a", NOW),
    ],
)
def test_the_newer_home_counts_and_the_last_use_by_anybody(theirs: Home, account: str, used: float) -> None:
    book = conversations()
    book.settle("c", "a", NOW)
    book.merge([theirs], NOW + 10)
    place = book.get("c", NOW + 10)
    assert place is not None
    assert (place.account_id, place.used) == (account, used)
    assert book.on(account) == 1


def test_restored_ones_keep_their_order_and_old_ones_stay_out() -> None:
    book = conversations(most=2)
    book.merge([Home(key, "a", NOW, NOW + used) for key, used in (("new", 9), ("old", 1), ("mid", 5))], NOW + 10)
    book.merge([Home("gone", "a", NOW - STICKINESS, NOW + 10 - STICKINESS)], NOW + 10)
    assert [home(book, key, NOW + 10) for key in ("old", "mid", "new", "gone")] == [None, "a", "a", None]
    assert list(book.changes()) == []
