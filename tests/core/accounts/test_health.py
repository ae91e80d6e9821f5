"""What is known of one account's limits."""

import math

import pytest

from codemie_core.accounts import health as healths
from codemie_core.accounts.health import LEASE, Health
from codemie_core.accounts.limits import Limits, Window
from codemie_core.accounts.state import Cooldown
from support.pools import HAIKU, NOW, OPUS, used


def cooldown(model: str = "", until: float = NOW + 60, sure: bool = False) -> Cooldown:
    return Cooldown("a", model, until, "limited", sure, 1, NOW)


def test_a_model_is_out_alone_an_account_with_all_its_models() -> None:
    health = Health("a")
    health.put(cooldown(OPUS))
    assert [health.free_at(OPUS, NOW), health.free_at(HAIKU, NOW), health.free_at("", NOW)] == [NOW + 60, 0, 0]
    health.put(cooldown(until=NOW + 90))
    assert [health.free_at(OPUS, NOW), health.free_at(HAIKU, NOW)] == [NOW + 90, NOW + 90]
    assert health.blocking(OPUS, NOW) == health.cooldown


@pytest.mark.parametrize("sure, second", [(True, 0.0), (False, NOW + 60 + LEASE)])
def test_after_a_guess_one_probes_after_a_verified_reset_all_may_go(sure: bool, second: float) -> None:
    health = Health("a")
    health.put(cooldown(sure=sure))
    assert (health.recovering(OPUS) is None) is sure
    health.lease(1, NOW + 60)
    assert health.free_at(OPUS, NOW + 60) == second
    assert health.free_at(OPUS, NOW + 60 + LEASE) == 0.0


def test_only_the_probe_itself_ends_its_lease() -> None:
    health = Health("a")
    health.put(cooldown())
    health.lease(7, NOW + 60)
    assert [health.end_lease(6), health.end_lease(7), health.end_lease(7)] == [False, True, False]
    assert health.free_at("", NOW + 61) == 0.0


def test_models_that_clients_make_up_do_not_pile_up() -> None:
    health = Health("a")
    for number in range(healths.MOST_MODELS * 3):
        health.put(cooldown(f"model-{number}", NOW + 1 + number))
    assert len(health.models) == healths.MOST_MODELS
    assert f"model-{healths.MOST_MODELS * 3 - 1}" in health.models


def test_the_fullest_window_counts_until_it_resets() -> None:
    health = Health("a")
    assert health.fullest(NOW) is None
    health.note(used(("5h", 1.01, NOW + 10), ("7d", 0.4, NOW + 500)), NOW)
    assert [health.fullest(NOW), health.fullest(NOW + 10), health.fullest(NOW + 500)] == [1.01, 0.4, None]
    assert [health.next_reset(NOW), health.next_reset(NOW + 10), health.next_reset(NOW + 500)] == [
        NOW + 10,
        NOW + 500,
        math.inf,
    ]


def test_a_count_that_is_left_is_a_share_that_is_used() -> None:
    health = Health("a")
    assert health.note(Limits(windows=(Window("requests", remaining=25, limit=100), Window("x", remaining=1))), NOW)
    assert health.fullest(NOW) == 0.75


def test_a_weekly_window_says_when_an_account_drains_else_the_earliest() -> None:
    health = Health("a")
    health.note(used(("5h", 0.1, NOW + 10)), NOW)
    assert health.drains_at(NOW) == NOW + 10
    health.note(used(("7d", 0.1, NOW + 500)), NOW)
    assert [health.drains_at(NOW), health.drains_at(NOW + 500)] == [NOW + 500, math.inf]


def test_older_news_and_too_many_windows_are_left_out() -> None:
    health = Health("a")
    health.note(used(("5h", 0.5, None)), NOW)
    assert not health.note(used(("5h", 0.9, None)), NOW - 1)
    health.note(used(*((f"w{number}", 0.1, None) for number in range(100))), NOW)
    assert len(health.windows) == healths.MOST_WINDOWS
    assert health.fullest(NOW) == 0.5
