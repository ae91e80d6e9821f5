"""The four strategies, as a pool lives them. Those of `global-session` are the ones its original was built to."""

from collections import Counter

import pytest

from codemie_core.accounts.state import Home, PoolState
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.errors import SettingsError
from support.pools import NOW, OPUS, Proxy, named_account, used, verified

DURATION = 18000.0


def test_an_unknown_strategy_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"no 'round-robin'; choose one of session, global-session, least-used"):
        Proxy("a", strategy="round-robin")


def one_for_all(*accounts: str) -> Proxy:
    return Proxy(*(accounts or "abc"), strategy="global-session")


def used_now(proxy: Proxy) -> str:
    choice = proxy.choice()
    proxy.succeed(choice)
    return choice.account.name


def test_global_the_first_account_begins_the_session_and_keeps_it() -> None:
    proxy = one_for_all()
    assert [used_now(proxy) for _ in range(3)] == ["a", "a", "a"]
    assert [proxy.name(key) for key in ("x", "y", "z")] == ["a", "a", "a"]


@pytest.mark.parametrize("age, name", [(DURATION - 0.001, "b"), (DURATION, "a"), (DURATION + 1, "a")])
def test_global_a_session_is_over_at_exactly_its_duration(age: float, name: str) -> None:
    proxy = one_for_all()
    proxy.bench("a", verified(NOW + 1))
    assert used_now(proxy) == "b"
    proxy.wait(age)
    assert used_now(proxy) == name


def test_global_a_limited_active_account_is_followed_by_the_first_free_one() -> None:
    proxy = one_for_all()
    assert used_now(proxy) == "a"
    proxy.bench("a", verified(NOW + 60))
    assert [used_now(proxy), used_now(proxy)] == ["b", "b"]


def two_sessions() -> Proxy:
    """b began first, then a; both are running."""
    proxy = one_for_all()
    proxy.bench("a", verified(NOW + 1))
    assert used_now(proxy) == "b"
    proxy.wait(10)
    proxy.bench("b", verified(NOW + 11))
    assert used_now(proxy) == "a"
    proxy.wait(10)
    return proxy


def test_global_of_two_running_sessions_the_newest_serves() -> None:
    assert used_now(two_sessions()) == "a"


def test_global_of_two_sessions_that_began_together_the_first_accounts_serves() -> None:
    proxy = one_for_all()
    proxy.pool.restore(PoolState(homes=[Home(f"@session:{name}", name, NOW - 5, NOW - 5) for name in "cb"]))
    assert used_now(proxy) == "b"


def test_global_the_active_account_is_taken_up_again_when_it_recovers() -> None:
    proxy = two_sessions()
    proxy.bench("a", verified(NOW + 80))
    assert used_now(proxy) == "b"
    proxy.wait(60)
    assert used_now(proxy) == "a"


def test_global_a_paused_active_account_is_passed_over_like_a_limited_one() -> None:
    proxy = one_for_all()
    assert used_now(proxy) == "a"
    proxy.pool.set_accounts([named_account("a", paused="lunch"), named_account("b"), named_account("c")])
    assert used_now(proxy) == "b"


def test_global_nobody_is_left_when_all_are_out() -> None:
    proxy = one_for_all()
    for name in "abc":
        proxy.bench(name, verified(NOW + 60))
    assert [one.name for one in proxy.nobody()] == ["a", "b", "c"]
    proxy.wait(60)
    assert used_now(proxy) == "a"


def test_global_who_stands_in_for_one_request_begins_a_session_by_answering() -> None:
    proxy = one_for_all()
    assert used_now(proxy) == "a"
    proxy.wait(1)
    stand_in = proxy.choice("", OPUS, "a")
    assert (stand_in.account.name, proxy.name()) == ("b", "a")
    proxy.succeed(stand_in)
    assert proxy.name() == "b"


def test_global_sessions_outlive_a_restart() -> None:
    proxy = two_sessions()
    again = one_for_all()
    again.clock.now = proxy.clock.now
    again.pool.restore(proxy.saved())
    assert used_now(again) == "a"
    again.bench("a", verified(again.clock.now + 60))
    assert used_now(again) == "b"


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "global-session"])
def test_priority_comes_before_what_a_strategy_measures(strategy: str) -> None:
    proxy = Proxy(named_account("a", priority=1), named_account("b"), strategy=strategy)
    proxy.succeed(proxy.choice(), used(("7d", 0.9, NOW + 9000)))
    assert [proxy.name(f"c{number}") for number in range(5)] == ["b"] * 5


def test_session_shares_new_conversations_by_weight() -> None:
    weights = {"a": 1, "b": 2, "c": 5, "d": 2}
    proxy = Proxy(*(named_account(name, weight=weight) for name, weight in weights.items()))
    taken = Counter(proxy.name(f"conversation-{number}") for number in range(10_000))
    assert all(abs(taken[name] - weight * 1000) <= 30 for name, weight in weights.items())


def test_pools_that_start_together_do_not_all_begin_with_one_account() -> None:
    assert len({Proxy("a", "b", "c", seed=seed).name("c") for seed in range(20)}) == 3


def answers(proxy: Proxy, shares: dict[str, float], reset: float | None = None) -> None:
    for name, share in shares.items():
        proxy.pool.succeeded(name, OPUS, used(("5h", share, reset)))


def test_least_used_takes_the_account_with_the_most_left() -> None:
    proxy = Proxy("a", "b", "c", strategy="least-used")
    answers(proxy, {"a": 0.6, "b": 0.3, "c": 0.9})
    assert proxy.name("x") == "b"
    answers(proxy, {"b": 0.95, "c": 0.1})
    assert proxy.name("y") == "c"
    assert proxy.name("x") == "b"


def test_least_used_spreads_a_burst() -> None:
    proxy = Proxy("a", "b", strategy="least-used")
    answers(proxy, {"a": 0.1, "b": 0.3})
    taken = Counter(proxy.name(f"c{number}") for number in range(20))
    assert taken["a"] > taken["b"] > 5


def test_least_used_takes_an_account_for_what_it_says_once_it_has_answered() -> None:
    proxy = Proxy("a", "b", strategy="least-used")
    answers(proxy, {"a": 0.1, "b": 0.3})
    for number in range(20):
        choice = proxy.choice(f"c{number}")
        assert choice.account.name == "a"
        proxy.succeed(choice)


def test_least_used_counts_a_window_no_more_once_it_has_reset() -> None:
    proxy = Proxy("a", "b", strategy="least-used")
    answers(proxy, {"a": 0.9}, NOW + 60)
    answers(proxy, {"b": 0.5}, NOW + 600)
    assert proxy.name("x") == "b"
    proxy.wait(60)
    assert proxy.name("y") == "a"


def test_drain_soonest_takes_what_would_be_lost_first() -> None:
    proxy = Proxy("a", "b", "c", strategy="drain-soonest")
    proxy.pool.succeeded("a", OPUS, used(("7d", 0.1, NOW + 5000)))
    proxy.pool.succeeded("b", OPUS, used(("7d", 0.8, NOW + 600), ("5h", 0.1, NOW + 550)))
    assert [proxy.name("x"), proxy.name("y")] == ["b", "b"]
    proxy.wait(600)
    assert [proxy.name("z"), proxy.name("x")] == ["a", "b"]


@pytest.mark.parametrize("later", list(STRATEGIES))
def test_conversations_stay_where_they_are_when_the_strategy_changes(later: str) -> None:
    proxy = Proxy("a", "b", "c")
    before = {key: proxy.name(key) for key in ("x", "y", "z")}
    proxy.pool.configure(strategy=later)
    assert proxy.pool.strategy == later
    proxy.pool.configure(strategy="session")
    assert {key: proxy.name(key) for key in before} == before
    assert len(set(before.values())) == 3


def test_what_an_old_session_says_does_not_count_against_a_newer_one() -> None:
    proxy = one_for_all()
    old = proxy.saved()
    assert used_now(proxy) == "a"
    started = proxy.saved().homes
    proxy.pool.merge(old)
    proxy.pool.merge(PoolState(homes=started))
    assert proxy.saved().homes == []
    assert used_now(proxy) == "a"
