"""What the pool remembers: it comes back, the newer word counts, and rests are in the audit trail."""

from __future__ import annotations

import pytest

from codemie_core.accounts.state import Change, Cooldown, Home, PoolState, Usage
from codemie_core.store import pool
from codemie_core.store.accounts import add_account
from codemie_core.store.audit import events
from codemie_core.store.database import Database, accounts_revision, revision_of
from codemie_core.store.pool import MOST_HOMES, load_state, prune, save_changes, state_since
from support.stored import new_account

DAY = 24 * 3600.0
NOW = 1_800_000_000.0
REST = Cooldown("id-1", "", NOW + 60, "429", False, 1, NOW)
MODEL = Cooldown("id-1", "claude-opus", NOW + 90.5, "out of credits", True, 0, NOW + 1)
USAGE = Usage("id-1", "5h", 0.25, NOW + 100, NOW)
UNKNOWN_RESET = Usage("id-2", "7d", 1.5, None, NOW)
HOME = Home("claude:abc", "id-1", NOW, NOW + 5)
SESSION = Home("@session:id-2", "id-2", NOW, NOW)


@pytest.fixture
def filled(database: Database) -> Database:
    """With two accounts."""
    with database.writing() as connection:
        for number in (1, 2):
            add_account(connection, new_account(f"a{number}", "https://x", id=f"id-{number}"), None, "ann")
    return database


def saved(database: Database, *changes: Change) -> int:
    with database.writing() as connection:
        return save_changes(connection, changes, who="proxy 1")


def state(database: Database, now: float = NOW) -> PoolState:
    with database.reading() as connection:
        return load_state(connection, now)


def test_what_was_saved_comes_back(filled: Database) -> None:
    saved(filled, REST, MODEL, USAGE, UNKNOWN_RESET, HOME, SESSION)
    found = state(filled)
    assert set(found.cooldowns) == {REST, MODEL}
    assert set(found.usages) == {USAGE, UNKNOWN_RESET}
    assert list(found.homes) == [HOME, SESSION]


@pytest.mark.parametrize("at", [0.1234567, 0.9995, 1.001, 1763710000.123, 1763710000.1239, NOW + 0.0005])
def test_a_time_never_drifts_and_never_looks_newer_nor_a_rest_shorter(filled: Database, at: float) -> None:
    rest = Cooldown("id-1", "", at + 7.0004, "x", True, 0, at)
    over = Cooldown("id-1", "m", at, "x", True, 0, at)
    saved(filled, rest, over, Home("c", "id-1", at, at))
    with filled.reading() as connection:
        first = state_since(connection, 0)
    saved(filled, *first.cooldowns, *first.homes)
    with filled.reading() as connection:
        again = state_since(connection, 0)
    assert again == first
    [rested, ended] = sorted(first.cooldowns, key=lambda one: one.model)
    assert rested.until >= rest.until > rested.until - 0.002
    assert rested.since <= at < rested.since + 0.002
    assert ended.over
    assert first.homes[0].since <= at


@pytest.mark.parametrize(
    "older, newer",
    [
        (REST, Cooldown("id-1", "", NOW + 1, "cleared", False, 1, NOW + 1)),
        (REST, Cooldown("id-1", "", NOW + 30, "same time, later word", True, 0, NOW)),
        (USAGE, Usage("id-1", "5h", 0.1, None, NOW + 1)),
        (HOME, Home("claude:abc", "id-2", NOW + 1, NOW + 1)),
        (HOME, Home("claude:abc", "id-1", NOW, NOW + 6)),
    ],
)
def test_of_two_words_about_one_thing_the_newer_counts(filled: Database, older: Change, newer: Change) -> None:
    def known() -> list[Change]:
        found = state(filled)
        return [*found.cooldowns, *found.usages, *found.homes]

    saved(filled, older)
    saved(filled, newer)
    assert known() == [newer]
    if newer != Cooldown("id-1", "", NOW + 30, "same time, later word", True, 0, NOW):
        saved(filled, older)
        assert known() == [newer]


def test_what_concerns_an_account_that_is_gone_is_dropped(filled: Database) -> None:
    saved(filled, Home("c", "gone", NOW, NOW), Cooldown("gone", "", NOW + 9, "x", True, 0, NOW), HOME)
    assert state(filled) == PoolState(cooldowns=[], usages=[], homes=[HOME])


def test_others_are_told_what_changed_since_and_that_accounts_did_not(filled: Database) -> None:
    first = saved(filled, REST, HOME)
    second = saved(filled, USAGE, Home("claude:abc", "id-1", NOW, NOW + 9))
    with filled.reading() as connection:
        assert revision_of(connection) == second == first + 1
        assert accounts_revision(connection) == first - 1
        assert state_since(connection, second) == PoolState([], [], [])
        assert state_since(connection, first) == PoolState([], [USAGE], [Home("claude:abc", "id-1", NOW, NOW + 9)])
        assert state_since(connection, 0).cooldowns == [REST]
    with filled.writing() as connection:
        assert save_changes(connection, []) == second


def test_what_nobody_needs_is_neither_loaded_nor_kept_and_what_has_just_passed_is(filled: Database) -> None:
    old_home, old_rest = Home("old", "id-1", 1, NOW - DAY), Cooldown("id-2", "", NOW - DAY, "x", False, 3, 1)
    passed = Cooldown("id-1", "", NOW - 60, "429", False, 4, NOW - 120)
    saved(filled, old_home, old_rest, passed, HOME)
    assert state(filled) == PoolState([passed], [], [HOME])
    with filled.writing() as connection:
        assert prune(connection, NOW) == 1
        assert prune(connection, NOW) == 0
        assert state_since(connection, 0) == PoolState([passed], [], [HOME])


@pytest.mark.parametrize("environ", ["sqlite"], indirect=True)
def test_pruning_gives_room_back_to_the_file_system(filled: Database) -> None:
    def pages(what: str) -> int:
        with filled.reading() as connection:
            return int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())

    saved(filled, *(Home(f"old {number:0100d}", "id-1", 1, 1) for number in range(5_000)))
    before = pages("page_count")
    with filled.writing() as connection:
        assert prune(connection, NOW) == 5_000
    assert pages("freelist_count") == 0
    assert pages("page_count") < before / 3


def test_pruning_happens_by_itself(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_PRUNED_EVERY", 50)
    saved(filled, Home("old", "id-1", 1, 1))
    with filled.writing() as connection:
        for number in range(100):
            save_changes(connection, [Home("new", "id-1", NOW, NOW + number)], clock=lambda: NOW)
        assert [home.key for home in state_since(connection, 0).homes] == ["new"]


def test_the_audit_trail_has_each_rests_begin_and_end_once(filled: Database) -> None:
    longer = Cooldown("id-1", "", NOW + 120, "429", False, 2, NOW + 10)
    over = Cooldown("id-1", "", NOW + 20, "answered", False, 2, NOW + 20)
    again = Cooldown("id-1", "", NOW + 90, "529", False, 2, NOW + 30)
    late = Cooldown("id-1", "", NOW + 50, "late word", False, 1, NOW + 5)
    saved(filled, REST)
    saved(filled, longer, MODEL)
    saved(filled, over)
    saved(filled, over, late)
    saved(filled, again)
    with filled.reading() as connection:
        found = [
            (one.at, one.event, one.reason) for one in reversed(events(connection, "id-1")) if one.who == "proxy 1"
        ]
        assert {one.account_name for one in events(connection, "id-1")} == {"a1"}
    assert found == [
        (NOW, "rests", "429"),
        (NOW + 1, "rests", "out of credits (claude-opus)"),
        (NOW + 20, "usable again", ""),
        (NOW + 30, "rests", "529"),
    ]


def test_a_rest_that_passed_unheard_may_begin_again_in_the_audit_trail(filled: Database) -> None:
    saved(filled, REST)
    saved(filled, Cooldown("id-1", "", NOW + 200, "429", False, 2, NOW + 61))
    with filled.reading() as connection:
        assert [one.event for one in events(connection, "id-1")] == ["rests", "rests", "added"]


def test_old_rests_leave_the_audit_trail_and_what_people_did_stays(filled: Database) -> None:
    saved(filled, REST)
    with filled.writing() as connection:
        prune(connection, NOW + 6 * DAY)
        assert "rests" in {one.event for one in events(connection)}
        prune(connection, NOW + 8 * DAY)
        assert {one.event for one in events(connection)} == {"added"}


def test_of_more_than_100_000_conversations_the_newest_are_loaded(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_HOMES == 100_000
    monkeypatch.setattr(pool, "MOST_HOMES", 1_000)
    homes = [Home(f"claude:{number:036d}", f"id-{number % 2 + 1}", NOW, NOW + number / 1000) for number in range(1_010)]
    saved(filled, *homes)
    assert list(state(filled).homes) == homes[:9:-1]
