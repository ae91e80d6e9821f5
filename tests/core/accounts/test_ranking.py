"""The best account, without looking at all of them."""

import random
from collections import Counter

from codemie_core.accounts import ranking as rankings
from codemie_core.accounts.health import Health
from codemie_core.accounts.member import Member
from codemie_core.accounts.ranking import Ranking
from codemie_core.accounts.state import Cooldown
from support.pools import NOW, named_account


def member(name: str, **changes: object) -> Member:
    return Member(named_account(name, **changes), 0, Health(name))


def ranked(*members: Member, measure: dict[str, float] | None = None) -> Ranking:
    return Ranking(members, "", lambda one, _: (measure or {}).get(one.id, 0.0), random.Random(1).random, NOW)


def limited(one: Member, until: float) -> None:
    one.health.put(Cooldown(one.id, "", until, "limited", True, 0, NOW))


def names(ranking: Ranking, count: int, now: float = NOW) -> list[str]:
    found = []
    for _ in range(count):
        best = ranking.best(now)
        assert best is not None
        ranking.took(best)
        found.append(best.id)
    return found


def test_turns_follow_weights_exactly() -> None:
    taken = Counter(names(ranked(member("a", weight=3), member("b"), member("c", weight=2)), 600))
    assert all(abs(taken[name] - 100 * weight) <= 1 for name, weight in (("a", 3), ("b", 1), ("c", 2)))


def test_the_lowest_priority_number_goes_first_and_comes_back_first() -> None:
    first, second = member("a"), member("b", priority=1)
    ranking = ranked(second, first)
    assert names(ranking, 3) == ["a", "a", "a"]
    limited(first, NOW + 60)
    assert names(ranking, 2, NOW + 59) == ["b", "b"]
    assert names(ranking, 2, NOW + 60) == ["a", "a"]


def test_who_was_away_does_not_make_up_for_it() -> None:
    away, here = member("a"), member("b")
    limited(away, NOW + 60)
    ranking = ranked(away, here)
    assert set(names(ranking, 100)) == {"b"}
    assert Counter(names(ranking, 10, NOW + 60))["a"] in (5, 6)


def test_a_rank_that_got_worse_is_noticed_when_it_surfaces() -> None:
    measure = {"a": 1.0, "b": 2.0}
    ranking = ranked(member("a"), member("b"), measure=measure)
    assert names(ranking, 1) == ["a"]
    measure["a"] = 3.0
    assert names(ranking, 1) == ["b"]


def test_a_rank_that_got_better_counts_once_it_is_told() -> None:
    measure = {"a": 1.0, "b": 2.0}
    better = member("b")
    ranking = ranked(member("a"), better, measure=measure)
    measure["b"] = 0.5
    ranking.reconsider(better, NOW)
    assert names(ranking, 1) == ["b"]


def test_who_is_free_before_the_time_counts_once_it_is_told() -> None:
    one = member("a")
    limited(one, NOW + 600)
    ranking = ranked(one)
    assert ranking.best(NOW) is None
    ranking.reconsider(one, NOW)
    assert ranking.best(NOW) is None
    limited(one, NOW)
    ranking.reconsider(one, NOW)
    assert ranking.best(NOW) is one


def test_the_excluded_are_passed_over_and_stay_where_they_were() -> None:
    ranking = ranked(member("a"), member("b", priority=1))
    second = ranking.best(NOW, {"a"})
    assert second is not None
    assert second.id == "b"
    assert ranking.best(NOW, {"a", "b"}) is None
    assert names(ranking, 1) == ["a"]


def test_outdated_entries_do_not_pile_up() -> None:
    measure = {"a": 1e6, "b": 0.0}
    better = member("a")
    ranking = ranked(better, member("b"), measure=measure)
    for _ in range(5000):
        measure["a"] -= 1
        ranking.reconsider(better, NOW)
        limited(better, NOW + 1000)
        measure["b"] = measure["a"] + 1
        ranking.best(NOW)
        limited(better, NOW)
        ranking.reconsider(better, NOW)
    assert len(ranking._asleep) <= 2 * 2 + rankings.SLACK


def test_an_account_that_gets_better_unasked_leaves_few_entries_behind() -> None:
    measure = {"a": 1e6, "b": 0.0}
    better = member("a")
    ranking = ranked(better, member("b"), measure=measure)
    for _ in range(5000):
        measure["a"] -= 1
        ranking.reconsider(better, NOW)
    assert len(ranking._heap) <= 2 * 2 + rankings.SLACK
    measure["a"] = -1.0
    ranking.reconsider(better, NOW)
    assert names(ranking, 1) == ["a"]
