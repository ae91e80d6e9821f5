"""What becomes of an account after its answer, and what outlives the process."""

import pytest

from codemie_core.accounts import pool as pools
from codemie_core.accounts.health import LEASE
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.state import Cooldown, Home, PoolState, Usage
from codemie_core.accounts.verdicts import Act, Scope, Verdict
from codemie_core.errors import SettingsError
from support.pools import GUESS, HAIKU, NOTHING, NOW, OPUS, Proxy, named_account, overload, used, verified


def test_after_a_verified_reset_an_account_is_plainly_usable() -> None:
    proxy = Proxy("a")
    proxy.bench("a", verified(NOW + 60))
    proxy.wait(59.999)
    proxy.nobody()
    proxy.wait(0.001)
    assert [proxy.choice().probe for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("verdict, wait", [(GUESS, 60), (overload(NOW), 10)])
def test_after_a_guess_or_an_overload_one_request_at_a_time_probes(verdict: Verdict, wait: float) -> None:
    proxy = Proxy("a", named_account("b", priority=1))
    proxy.bench("a", verdict)
    proxy.wait(wait)
    first = proxy.choice()
    assert (first.account.name, first.probe) == ("a", True)
    assert {proxy.name() for _ in range(5)} == {"b"}
    proxy.succeed(first)
    assert [(choice.account.name, choice.probe) for choice in (proxy.choice(), proxy.choice())] == [("a", False)] * 2


def recovering() -> Proxy:
    proxy = Proxy("a")
    proxy.bench("a", GUESS)
    proxy.wait(60)
    return proxy


def test_a_probe_whose_client_left_makes_room_for_another() -> None:
    proxy = recovering()
    first = proxy.choice()
    proxy.nobody()
    proxy.pool.released(first)
    second = proxy.choice()
    proxy.pool.released(first)
    proxy.nobody()
    assert second.probe


def test_a_probe_nothing_was_heard_of_makes_room_for_another() -> None:
    proxy = recovering()
    assert proxy.choice().probe
    proxy.wait(LEASE - 0.001)
    proxy.nobody()
    proxy.wait(0.001)
    assert proxy.choice().probe


def test_a_probe_that_failed_for_another_reason_leaves_the_account_to_be_probed() -> None:
    proxy = recovering()
    proxy.fail(proxy.choice(), NOTHING)
    assert proxy.choice().probe


def test_a_probe_that_failed_waits_twice_as_long() -> None:
    proxy = recovering()
    proxy.fail(proxy.choice(), GUESS)
    assert proxy.pool.status("a").until == proxy.clock.now + 120


def test_many_requests_that_fail_at_once_escalate_once() -> None:
    proxy = Proxy("a")
    flying = [proxy.choice() for _ in range(50)]
    for choice in flying:
        proxy.wait(0.1)
        proxy.fail(choice, GUESS)
    assert proxy.pool.status("a").until == pytest.approx(NOW + 0.1 + 60)


def test_an_answer_to_an_older_request_does_not_end_a_cooldown() -> None:
    proxy = Proxy("a")
    older = proxy.choice()
    proxy.wait(1)
    proxy.bench("a", verified(NOW + 600))
    proxy.succeed(older)
    proxy.nobody()


def test_an_answer_ends_the_rest_of_its_model_and_not_of_others() -> None:
    proxy = Proxy("a")
    for model in (OPUS, HAIKU):
        proxy.bench("a", Verdict(Act.NEXT, Scope.MODEL, reason="out of credits", escalates=True), model)
    proxy.wait(60)
    proxy.succeed(proxy.choice())
    assert [proxy.choice().probe, proxy.choice(model=HAIKU).probe] == [False, True]


def test_a_model_nobody_named_cannot_be_benched() -> None:
    proxy = Proxy("a")
    proxy.bench("a", verified(NOW + 60, Scope.MODEL), "")
    assert proxy.name() == "a"


def test_an_account_without_its_secret_is_left_alone_for_a_while() -> None:
    proxy = Proxy("a")
    proxy.pool.unusable("a", "secret missing")
    assert [(one.reason, one.until) for one in proxy.nobody()] == [("secret missing", NOW + 60)]


def test_that_a_secret_is_missing_here_is_not_told_to_other_processes() -> None:
    proxy = Proxy("a")
    proxy.pool.unusable("a", "secret missing")
    assert proxy.pool.drain(everything=True) == []
    proxy.bench("a", verified(NOW + 600))
    proxy.pool.unusable("a", "secret missing")
    assert [change.until for change in proxy.pool.drain() if isinstance(change, Cooldown)] == [NOW + 600]


def test_a_new_sign_in_ends_guesses_but_no_verified_limit() -> None:
    for verdict, free in ((GUESS, True), (verified(NOW + 600), False)):
        proxy = Proxy("a")
        proxy.bench("a", verdict)
        proxy.wait(1)
        proxy.pool.set_accounts([named_account("a", needs_login=True)])
        proxy.pool.set_accounts([named_account("a")])
        assert isinstance(proxy.pool.status("a").until, float) is not free


def test_words_about_accounts_that_are_gone_are_passed_over() -> None:
    proxy = Proxy("a", "b")
    choice = proxy.choice("", OPUS, "b")
    proxy.pool.set_accounts([named_account("b")])
    proxy.fail(choice, GUESS)
    proxy.succeed(choice)
    proxy.pool.released(choice)
    assert proxy.pool.accounts == (named_account("b"),)
    assert proxy.saved() == PoolState([], [], [])


def restarted(proxy: Proxy, **settings: object) -> Proxy:
    again = Proxy(*proxy.pool.accounts, clock=proxy.clock, seed=99, **settings)
    again.pool.restore(proxy.saved())
    return again


def test_a_restart_keeps_homes_cooldowns_streaks_and_utilization() -> None:
    proxy = Proxy("a", "b", "c")
    homes = {key: proxy.name(key) for key in ("x", "y", "z")}
    proxy.succeed(proxy.choice("x"), used(("5h", 0.4, NOW + 900)))
    again = restarted(proxy)
    assert {key: again.name(key) for key in homes} == homes
    assert again.pool.status(homes["x"]).utilization == 0.4
    again.bench("a", GUESS)
    again.bench("b", verified(NOW + 77.5))
    third = restarted(again)
    assert [third.pool.status(name).until for name in "abc"] == [NOW + 60, NOW + 77.5, None]
    third.wait(60)
    probe = third.choice("", OPUS, "b", "c")
    assert probe.probe
    third.fail(probe, GUESS)
    assert third.pool.status("a").until == NOW + 60 + 120


def test_a_guess_that_is_over_is_still_probed_after_a_restart() -> None:
    again = restarted(recovering())
    assert again.choice().probe
    again.nobody()


def test_the_last_word_about_an_account_is_saved() -> None:
    proxy = Proxy("a")
    proxy.bench("a", verified(NOW + 60))
    proxy.bench("a", verified(NOW + 90))
    assert [cooldown.until for cooldown in proxy.saved().cooldowns] == [NOW + 90]


def test_what_is_restored_before_the_accounts_are_known_counts_all_the_same() -> None:
    proxy = Proxy()
    proxy.pool.restore(PoolState([Cooldown("a", "", NOW + 60, "limited", True, 0, NOW)]))
    proxy.pool.set_accounts([named_account("a")])
    assert [one.reason for one in proxy.nobody()] == ["limited"]


def test_a_cooldown_of_another_process_counts_here_and_its_end_too() -> None:
    one, other = Proxy("a"), Proxy("a")
    flying = other.choice()
    one.bench("a", GUESS)
    other.pool.merge(one.saved())
    other.nobody()
    assert other.saved() == PoolState([], [], [])
    other.wait(1)
    other.fail(flying, GUESS)
    assert other.pool.status("a").until == NOW + 60
    one.wait(60)
    one.succeed(one.choice())
    other.pool.merge(one.saved())
    assert [other.choice().probe for _ in range(2)] == [False, False]


def test_a_longer_limit_is_written_again_when_a_newer_shorter_one_took_its_place() -> None:
    proxy = Proxy("a")
    proxy.bench("a", verified(NOW + 5000))
    proxy.saved()
    proxy.pool.merge(PoolState([Cooldown("a", "", NOW + 61, "guess", False, 1, NOW + 1)]))
    [row] = proxy.saved().cooldowns
    assert (row.until, row.since, row.verified) == (NOW + 5000, NOW + 1, True)


def test_newer_utilization_and_homes_of_others_count() -> None:
    proxy = Proxy("a", "b")
    home = proxy.name("c")
    other = "b" if home == "a" else "a"
    proxy.pool.merge(PoolState(usages=[Usage("a", "5h", 0.7, None, NOW)], homes=[Home("c", other, NOW + 1, NOW + 1)]))
    assert (proxy.name("c"), proxy.pool.status("a").utilization) == (other, 0.7)


def test_only_what_has_changed_is_saved_and_once() -> None:
    proxy = Proxy("a")
    choice = proxy.choice("c")
    proxy.succeed(choice, used(("5h", 0.1, None)))
    assert [type(change) for change in proxy.pool.drain()] == [Usage, Home]
    assert proxy.pool.drain() == []
    proxy.wait(1)
    proxy.succeed(proxy.choice("c"), used(("5h", 0.2, None)))
    assert proxy.pool.drain() == []
    proxy.wait(29)
    assert proxy.pool.drain() == [Usage("a", "5h", 0.2, None, NOW + 1)]
    proxy.wait(30)
    proxy.succeed(proxy.choice("c"), used(("7d", 0.3, None)))
    assert proxy.pool.drain() == [Usage("a", "7d", 0.3, None, NOW + 60), Home("c", "a", NOW, NOW + 60)]


def test_at_the_end_of_the_process_nothing_waits_its_turn() -> None:
    proxy = Proxy("a")
    for share in (0.1, 0.2):
        proxy.wait(1)
        proxy.succeed(proxy.choice(), used(("5h", share, None)))
        saved = proxy.saved()
    assert [usage.utilization for usage in saved.usages] == [0.2]


def test_changes_come_in_portions_with_cooldowns_first() -> None:
    proxy = Proxy("a")
    for number in range(2500):
        proxy.choice(f"c{number}")
    proxy.bench("a", GUESS)
    portions = [proxy.pool.drain() for _ in range(4)]
    assert [len(portion) for portion in portions] == [pools.MOST_CHANGES, pools.MOST_CHANGES, 501, 0]
    assert isinstance(portions[0][0], Cooldown)


def test_known_conversations_are_bounded() -> None:
    proxy = Proxy("a", max_conversations=10)
    for number in range(100):
        proxy.choice(f"c{number}")
    assert proxy.pool.status("a").conversations == 10
    assert proxy.choice("c99").why.startswith("kept")
    proxy.pool.configure(max_conversations=5, stickiness=60.0)
    assert proxy.pool.status("a").conversations == 5
    proxy.wait(60)
    assert proxy.choice("c99").why.startswith("new")


def test_the_same_accounts_again_change_nothing() -> None:
    proxy = Proxy("a", "b", "c")
    first = proxy.name()
    proxy.pool.set_accounts(list(proxy.pool.accounts))
    assert len({first, proxy.name(), proxy.name()}) == 3


def test_bad_settings_change_nothing() -> None:
    proxy = Proxy("a")
    for settings in ({"strategy": "fastest"}, {"fallback_models": ["x"]}):
        with pytest.raises(SettingsError):
            proxy.pool.configure(**settings)
    assert proxy.pool.strategy == "session"
    with pytest.raises(SettingsError):
        Pool(fallback_models=["x"])


def test_fallback_models_can_be_changed_while_it_runs() -> None:
    proxy = Proxy("a")
    proxy.bench("a", verified(NOW + 60, Scope.MODEL))
    proxy.nobody()
    proxy.pool.configure(fallback_models=["claude-opus-*=x"])
    assert proxy.choice().model == "x"


def test_what_an_owner_forgives_is_over_and_others_hear_of_it() -> None:
    proxy = Proxy("a", "b")
    proxy.bench("a", verified(NOW + 600))
    proxy.bench("b", GUESS)
    proxy.saved()
    proxy.wait(1)
    for name in ("a", "b"):
        assert proxy.pool.resting(name) is not None
        proxy.pool.forgive(name)
        assert proxy.pool.resting(name) is None
        assert proxy.pool.status(name).state == "ready"
    assert {(rest.account_id, rest.over) for rest in proxy.saved().cooldowns} == {("a", True), ("b", True)}
    proxy.pool.forgive("nobody")


def test_the_windows_are_those_last_heard_of() -> None:
    proxy = Proxy("a")
    assert proxy.pool.windows("a") == proxy.pool.windows("nobody") == ()
    proxy.succeed(proxy.choice(), used(("5h", 0.4, None)))
    assert [usage.utilization for usage in proxy.pool.windows("a")] == [0.4]
