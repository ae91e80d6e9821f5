"""How long an account is left alone."""

import dataclasses
from typing import Any

import pytest

from codemie_core.accounts.cooldowns import HEALTHY, after_failure, after_success, combined, guess
from codemie_core.accounts.state import Cooldown
from codemie_core.accounts.verdicts import Verdict
from support.pools import GUESS, NOW, overload, verified


def failed(former: Cooldown | None, verdict: Verdict, now: float, made: float | None = None) -> Cooldown | None:
    return after_failure(former, "id", "", verdict, now - 1 if made is None else made, now)


def cooldown(seconds: float, since: float = NOW, **changes: Any) -> Cooldown:
    return dataclasses.replace(Cooldown("id", "", since + seconds, "limited", False, 1, since), **changes)


def test_guesses_double_up_to_half_an_hour() -> None:
    assert [guess(streak) for streak in (1, 2, 3, 4, 5, 6, 60_000)] == [60, 120, 240, 480, 960, 1800, 1800]


def test_each_failed_probe_waits_twice_as_long() -> None:
    now, former, waits = NOW, None, []
    for _ in range(7):
        former = failed(former, GUESS, now)
        assert former is not None
        waits.append(former.until - now)
        now = former.until + 2
    assert waits == [60, 120, 240, 480, 960, 1800, 1800]


def test_requests_that_were_out_when_it_began_do_not_escalate_it() -> None:
    first = failed(None, GUESS, NOW)
    assert first is not None
    assert failed(first, GUESS, NOW + 1, made=NOW - 5) is None
    late = failed(first, GUESS, NOW + 100, made=NOW)
    assert late is not None
    assert (late.streak, late.until) == (1, NOW + 160)


@pytest.mark.parametrize("healthy, streak", [(HEALTHY - 1, 4), (HEALTHY, 1)])
def test_after_five_healthy_minutes_a_guess_is_a_first_one(healthy: float, streak: int) -> None:
    ended = cooldown(0, since=NOW, streak=3)
    again = failed(ended, GUESS, NOW + healthy, made=NOW + healthy - 1)
    assert again is not None
    assert (again.streak, again.until) == (streak, NOW + healthy + guess(streak))


def test_a_verified_reset_is_kept_exactly_and_leaves_the_streak_alone() -> None:
    former = cooldown(60, streak=3)
    for until in (NOW + 5.25, NOW + 7 * 86400.0):
        kept = failed(former, verified(until), NOW + 1)
        assert kept is not None
        assert (kept.until, kept.verified, kept.streak) == (until, True, 3)


def test_of_two_verified_resets_the_later_one_counts() -> None:
    former = failed(None, verified(NOW + 500), NOW)
    assert failed(former, verified(NOW + 100), NOW + 1) is None
    later = failed(former, verified(NOW + 900), NOW + 1)
    assert later is not None
    assert later.until == NOW + 900


def test_a_guess_does_not_cut_a_verified_reset_short() -> None:
    former = failed(None, verified(NOW + 5000), NOW)
    assert failed(former, GUESS, NOW + 1, made=NOW - 1) is None
    assert failed(former, GUESS, NOW + 2, made=NOW + 1) is None


def test_a_reset_that_has_passed_already_is_a_guess() -> None:
    kept = failed(None, verified(NOW), NOW)
    assert kept is not None
    assert (kept.until, kept.verified) == (NOW + 60, False)


def test_an_overload_is_short_apart_and_never_grows() -> None:
    former = cooldown(60, since=NOW - 100, streak=2)
    for now in (NOW, NOW + 20, NOW + 40):
        former = failed(former, overload(now), now) or pytest.fail("no cooldown")
        assert (former.until, former.streak, former.verified) == (now + 10, 2, False)


@pytest.mark.parametrize("former", [cooldown(60), cooldown(900, verified=True)])
def test_an_overload_never_shortens_a_longer_cooldown(former: Cooldown) -> None:
    assert failed(former, overload(NOW + 1), NOW + 1) is None


def test_an_answer_clears_a_cooldown_only_if_it_was_asked_for_since() -> None:
    former = cooldown(60, streak=2)
    assert after_success(former, NOW, NOW + 70) is None
    cleared = after_success(former, NOW + 61, NOW + 70)
    assert cleared is not None
    assert (cleared.over, cleared.since, cleared.streak) == (True, NOW + 70, 2)
    assert after_success(cleared, NOW + 80, NOW + 81) is None


@pytest.mark.parametrize(
    "ours, theirs, until",
    [
        (None, cooldown(60), 60),
        (cooldown(60), cooldown(30), 60),
        (cooldown(60), cooldown(90), 90),
        (cooldown(60), cooldown(90, since=NOW + 5), 95),
        (cooldown(600), cooldown(60, since=NOW + 5), 600),
        (cooldown(60, since=NOW + 5), cooldown(600), 600),
        (cooldown(600), cooldown(0, since=NOW + 5), 5),
        (cooldown(0, since=NOW + 5), cooldown(600), 5),
        (cooldown(0), cooldown(60), 60),
        (cooldown(0), cooldown(60, since=NOW + 1), 61),
    ],
)
def test_of_two_words_the_newer_counts_but_no_limit_is_cut(ours: Cooldown | None, theirs: Cooldown, until: int) -> None:
    result = combined(ours, theirs, NOW + 10)
    assert result.until == NOW + until
    assert ours is None or combined(theirs, ours, NOW + 10).until == NOW + until
    assert ours is None or result.since == max(ours.since, theirs.since)
